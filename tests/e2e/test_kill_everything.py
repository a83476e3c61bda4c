"""Every process of the lab is killed at once, under load: it starts again, and no order is missing or doubled."""

import json
import sys

from tests.e2e.lab import Lab
from tests.waiting import until_sync


def test_nothing_is_lost_with_the_whole_lab(small_lab: Lab) -> None:
    small_lab.start()
    before = {process.pid for process in small_lab.processes()}
    page = small_lab.home.parent / "verdicts.html"
    words = ("chaos", "kill-everything", "--rate", "60", "--json", "--html", str(page))
    done = small_lab.coffee(*words, timeout_s=200)
    sys.stdout.write(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert "coffee chaos kill-everything --rate 60 --pipeline v1,v2" in page.read_text(encoding="utf-8")
    assert [cell["pipeline"] for cell in told["cells"]] == ["v1", "v2"]
    for cell in told["cells"]:
        assert cell["accepted"] > 60, cell
        assert (cell["lost"], cell["duplicated"], cell["drift"]["orders"]) == ([], [], 0), cell
        assert cell["refused"] + cell["unknown"] > 0, cell
    # It lives on without the command that started it again; of those before none does.
    parts = small_lab.parts()
    assert {part.state for part in parts.values()} == {"up"}
    assert not before & {process.pid for process in small_lab.processes()}
    assert small_lab.coffee("down").returncode == 0
    until_sync(lambda: not small_lab.left())
