"""What stands for the official image of Flink, where no registry is: the same files at the same places."""

import shutil
from pathlib import Path

from backend.stack.flink import wheel
from backend.stack.jars import LockedJar, ensure_files
from backend.stack.jvm import java
from backend.stack.places import cache_dir

S3 = LockedJar(
    "org.apache.flink:flink-s3-fs-presto:2.3.0",
    97_396_075,
    "ab017e92278a2fe1f41872dfe6d0ef0a5fcd32322cf79ae4c81934cabec2e3a3",
)
"""A plugin that the distribution has in opt/, and the wheel does not."""


def lay_out(image: Path) -> Path:
    """Fill a folder with /opt/flink and /opt/java/openjdk, and return it; blocks, and fetches the plugin once."""
    flink, runtime = image / "opt" / "flink", image / "opt" / "java" / "openjdk"
    for name in ("bin", "conf", "lib", "opt", "plugins"):
        shutil.copytree(wheel() / name, flink / name)
    cache = cache_dir() / "distribution"
    ensure_files([S3], cache)
    shutil.copyfile(cache / S3.file_name, flink / "opt" / S3.file_name)
    shutil.copytree(java().parent.parent, runtime)
    return image
