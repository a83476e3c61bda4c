"""Carries out a Dockerfile without Docker: every stage is a folder, every absolute path lies below it.

Two stand-ins: uv makes the virtual environment and installs into it (its cache spares the downloads; it checks the
same hashes), and the images that a Dockerfile starts from are folders given by the caller.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coffee_core.parent_death_signal import dies_with_parent

REPOSITORY = Path(__file__).parents[3]
USER = 10001
_PATHS = re.compile(r"(?<![\w.$/-])/(opt|run|tmp|usr/local|var)\b")
_OURS = re.compile(r"(?<![\w.$/-])/(bin|etc|home|lib|root|sbin|usr)\b")
"""What would be this machine's own."""
_SYSTEM = "/usr/bin:/bin"


@dataclass(slots=True)
class Stage:
    """One stage of a build."""

    root: Path
    """Folder that stands for ``/``."""
    environ: dict[str, str] = field(default_factory=dict)
    """What ENV has set; paths are the image's."""
    workdir: str = "/"
    user: int | None = None
    command: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The working directory."""
        return self.root / self.workdir.lstrip("/")

    def here(self, text: str) -> str:
        """Return a text with the image's paths as they are on this machine."""
        return _PATHS.sub(lambda found: f"{self.root}/{found[1]}", text)

    def environment(self, **further: str) -> dict[str, str]:
        """Return the whole environment of a process in this stage: nothing of this one's."""
        path = self.environ.get("PATH", "$PATH").replace("$PATH", _SYSTEM)
        return {name: self.here(value) for name, value in {**self.environ, **further, "PATH": path}.items()}

    def start(self, command: list[str], log: Path | None = None, **further: str) -> "subprocess.Popen[str]":
        """Start a process as the image's user, where that user can reach the interpreter; it ends with us.

        What it says goes to ``log``, or can be read from its pipe.
        """
        output = subprocess.PIPE if log is None else log.open("a")
        switch = self.user if os.getuid() == 0 and self.user and reachable(Path(python())) else None
        try:
            return subprocess.Popen(
                [self.here(word) for word in command],
                env=self.environment(**further),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                user=switch,
                group=switch,
                extra_groups=[] if switch else None,
                preexec_fn=dies_with_parent(),
            )
        finally:
            if not isinstance(output, int):
                output.close()


def python() -> str:
    """Return the interpreter that stands for the image's: one that other users can run, where there is one."""
    own = str(Path(sys.executable).resolve())
    for each in (own, "/usr/bin/python3"):
        if reachable(Path(each)) and _version(each) in ((3, 11), (3, 12)):
            return each
    return own


def _version(executable: str) -> tuple[int, ...]:
    asked = "import sys; print(*sys.version_info[:2])"
    return tuple(
        map(int, subprocess.run([executable, "-c", asked], capture_output=True, check=True).stdout.split())
    )


def reachable(path: Path) -> bool:
    """Tell whether any user can run a program."""
    return path.exists() and all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


@contextmanager
def open_place(name: str) -> Iterator[Path]:
    """Make a folder for an image, outside pytest's own, which other users cannot enter; remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"coffee-{name}-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


def build(dockerfile: Path, place: Path, images: Mapping[str, Path] | None = None) -> Stage:
    """Carry out every instruction; return the last stage. Raises CalledProcessError where one fails.

    ``images`` has the content of those that a Dockerfile copies from, by name without tag.
    """
    # An image's files can be read by its user, whatever this process keeps to itself.
    os.umask(0o022)
    stages: dict[str, Stage] = {}
    stage = Stage(place)
    for word, rest in _instructions(dockerfile.read_text(encoding="utf-8")):
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stage = Stage(place / f"{len(stages)}-{name or 'final'}")
            stages[name or "final"] = stage
            for folder in ("tmp", "run", "opt", "var/lib"):
                (stage.root / folder).mkdir(parents=True)
            (stage.root / "tmp").chmod(0o1777)
            if given := (images or {}).get(image.split(":")[0]):
                shutil.copytree(given, stage.root, symlinks=False, dirs_exist_ok=True)
        else:
            _carry_out(stage, stages, word, rest)
    return stage


def _carry_out(stage: Stage, stages: Mapping[str, Stage], word: str, rest: str) -> None:
    match word:
        case "ENV":
            stage.environ |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        case "WORKDIR":
            stage.workdir = rest
        case "USER":
            stage.user = int(rest.split(":")[0])
        case "CMD":
            stage.command = json.loads(rest)
        case "COPY":
            _copy(stage, stages, shlex.split(rest))
        case "RUN":
            script = stage.here(rest)
            if found := _OURS.search(script.replace(str(stage.root), "root")):
                raise ValueError(f"the rehearsal has no {found[0]}: {rest}")
            script = _by_uv(script)
            subprocess.run(["/bin/sh", "-ec", script], env=_for_build(stage), cwd=stage.folder, check=True)
        case "VOLUME" | "EXPOSE" | "HEALTHCHECK":
            pass
        case _:
            raise ValueError(f"the rehearsal does not know {word}")


def _for_build(stage: Stage) -> dict[str, str]:
    """Return the environment of a RUN: ours for uv's sake (its cache, a proxy), with the image's over it."""
    uv = Path(shutil.which("uv") or "uv").parent
    return {**os.environ, **stage.environment(), "PATH": f"{uv}:{_SYSTEM}"}


def _by_uv(script: str) -> str:
    script = re.sub(r"\bpython -m venv --without-pip (\S+)", rf"uv venv --quiet --python {python()} \1", script)
    script = re.sub(r"\bpython -m pip --python (\S+) install", r"uv pip install --quiet --python \1", script)
    return script if os.getuid() == 0 else re.sub(r"--(owner|group)=\d+ ", "", script)


def _copy(stage: Stage, stages: Mapping[str, Stage], words: list[str]) -> None:
    source = REPOSITORY
    if words[0].startswith("--from="):
        source = stages[words.pop(0).removeprefix("--from=")].root
    *names, target = words
    goal = Path(stage.here(target))
    for name in names:
        origin = source / name.lstrip("/")
        if origin.is_dir():
            shutil.copytree(
                origin, goal, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            place = goal / origin.name if target.endswith("/") else goal
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin, place)


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in whole.splitlines() if line.strip())
    ]
