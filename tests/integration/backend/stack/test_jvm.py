"""Java gets its arguments as they were written."""

import os
import subprocess
from pathlib import Path

from backend.stack.jvm import java, write_argument_file


def test_java_reads_its_arguments_from_the_file_with_spaces_quotes_and_backslashes(tmp_path: Path) -> None:
    odd = 'a space, a "quote", a back\\slash'
    path = tmp_path / "my java.args"
    write_argument_file(path, [f"-Dodd={odd}", "-XshowSettings:properties", "-version"])
    done = subprocess.run([java(), f"@{path}"], capture_output=True, text=True, check=True, env={**os.environ})
    assert f"odd = {odd}" in done.stderr
