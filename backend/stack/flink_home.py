"""A Flink distribution made of links: the wheel's jars, the connectors, and the planner in place of its loader.

It lies in the user's cache because class-data archives fit one class path only: every stack shares it.
"""

import hashlib
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from backend.stack.jars import JarPaths, cache_dir, exclusive
from coffee_core.errors import StackError

_PYTHON_JAR = "flink-python-*.jar"
_LOADER_JAR = "flink-table-planner-loader-"


def wheel() -> Path:
    """Return the folder of the apache-flink wheel. Raises StackError where it is not installed."""
    spec = find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise StackError("apache-flink is not installed here: run with --pipelines v1,v2, or set FLINK_REST_URL")
    return Path(spec.origin).parent


def flink_home_path(jars: JarPaths) -> Path:
    """Return where the folder is or will be; its name changes with the wheel and with any jar."""
    digest = hashlib.sha256("\n".join(f"{name} {target}" for name, target in _links(jars).items()).encode())
    return cache_dir() / "flink" / digest.hexdigest()[:16]


def flink_home(jars: JarPaths) -> Path:
    """Return the folder, making it where it is missing; blocks."""
    home, links = flink_home_path(jars), _links(jars)
    parent = home.parent
    with exclusive(parent):
        if not home.exists():
            made = Path(tempfile.mkdtemp(dir=parent, prefix=".partial-"))
            try:
                for name, target in links.items():
                    (made / name).parent.mkdir(exist_ok=True)
                    (made / name).symlink_to(target)
                made.rename(home)
            except BaseException:
                shutil.rmtree(made)
                raise
    return home


def _links(jars: JarPaths) -> dict[str, Path]:
    source = wheel()
    links = {name: source / name for name in ("bin", "conf", "opt", "plugins")}
    wheel_jars = [jar for jar in source.glob("lib/*.jar") if not jar.name.startswith(_LOADER_JAR)]
    for jar in (*wheel_jars, *jars.connectors, jars.planner):
        links[f"lib/{jar.name}"] = jar
    return dict(sorted(links.items()))


def cluster_classpath(home: Path, jars: JarPaths) -> tuple[Path, ...]:
    """Return the class path of JobManager and TaskManager: no planner, but the Python operators.

    The Python jar must come from the parent class loader: its native library can be loaded only once a process.
    """
    planner = home / "lib" / jars.planner.name
    libraries = sorted(jar for jar in home.glob("lib/*.jar") if jar != planner)
    return (*libraries, *sorted(home.glob(f"opt/{_PYTHON_JAR}")))


def client_classpath(home: Path) -> tuple[Path, ...]:
    """Return the class path that PyFlink's gateway will have, in the order in which it lists the folder."""
    return (*home.glob("lib/*.jar"), *home.glob(f"opt/{_PYTHON_JAR}"))
