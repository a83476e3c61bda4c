"""The registry of pipelines: each is declared in a module of its own, and everything else asks here.

Pipelines beside the built-in ones come from the packages that ``COFFEE_PIPELINE_PACKAGES`` names, separated by
commas: each must have a module ``declaration`` with a ``DECLARATION``. They are loaded with this module, so that
no process can disagree about which there are.
"""

import contextlib
import importlib
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from coffee_core.pipelines import v1_direct, v2_streams, v3_kafka, v4_workers, v5_live
from coffee_core.pipelines.declaration import (
    Declaration,
    Log,
    LogKind,
    Repair,
    Requirement,
    Service,
    Stage,
    Windows,
)

__all__ = [
    "DEFAULT_PIPELINES",
    "PIPELINES",
    "Declaration",
    "Log",
    "LogKind",
    "Pipeline",
    "Repair",
    "Requirement",
    "Service",
    "Stage",
    "Windows",
    "is_part",
    "load_packages",
    "package_folders",
    "parse_pipelines",
    "pipeline_named",
]

PACKAGES_SETTING = "COFFEE_PIPELINE_PACKAGES"
FOLDERS_VARIABLE = "COFFEE_PIPELINE_FOLDERS"
"""No setting: whoever starts a process of ours hands it the folders in which it has found those packages."""

_declared: dict[str, Declaration] = {
    declaration.name: declaration
    for declaration in (
        v1_direct.DECLARATION,
        v2_streams.DECLARATION,
        v3_kafka.DECLARATION,
        v4_workers.DECLARATION,
        v5_live.DECLARATION,
    )
}
_named: dict[str, Any] = {}
_folders: dict[str, None] = {}


class Pipeline(str):
    """The name of a registered pipeline, e.g. ``v2``, by which its declaration is found."""

    __slots__ = ()

    def __new__(cls, name: str) -> Self:
        """Return the one object of this name: pipelines may be compared by identity."""
        one: Self = _named.setdefault(name, super().__new__(cls, name))
        return one

    @property
    def info(self) -> Declaration:
        """What the pipeline declares. Raises KeyError for a name that is none."""
        return _declared[self]


def load_packages(text: str) -> tuple[str, ...]:
    """Register the pipelines of these packages, separated by commas. Raises ValueError naming one that is none."""
    names = tuple(filter(None, (item.strip() for item in text.split(","))))
    for name in names:
        try:
            declaration = importlib.import_module(f"{name}.declaration").DECLARATION
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{name!r} declares no pipeline: {error}") from error
        _folders[str(Path(sys.modules[name.partition(".")[0]].__path__[0]).parent)] = None
        if _declared.setdefault(declaration.name, declaration) != declaration:
            raise ValueError(f"{name!r} declares {declaration.name!r}, which there is already")
    return names


def package_folders() -> tuple[str, ...]:
    """Return the folders in which the loaded packages were found, for the import path of a child."""
    return tuple(_folders)


# At the end: a package of pipelines hides nothing that is installed.
_handed = filter(None, os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep))
sys.path += [folder for folder in _handed if folder not in sys.path]
with contextlib.suppress(ValueError):  # the settings read the same text again, and report what is wrong with it
    load_packages(os.environ.get(PACKAGES_SETTING, ""))
PIPELINES: tuple[Pipeline, ...] = tuple(Pipeline(name) for name in _declared)
"""Every pipeline, the built-in ones first, in the order of their version."""
DEFAULT_PIPELINES: tuple[Pipeline, ...] = tuple(pipeline for pipeline in PIPELINES if pipeline.info.default)
"""Those that run where nobody names any."""


def pipeline_named(name: str) -> Pipeline:
    """Return the pipeline of this name. Raises ValueError."""
    if name not in _declared:
        raise ValueError(f"{name!r} is no pipeline; choose from {', '.join(sorted(PIPELINES))}")
    return Pipeline(name)


def is_part(process: str, parts: tuple[str, ...]) -> bool:
    """Tell whether a process is one of these parts, whose names are the beginnings of those of their processes.

    ``kafka-worker`` begins with ``kafka`` and is none: it belongs to the service that is named so.
    """
    return _is_part(process, parts, PIPELINES)


# A dashboard at rest asks some two hundred times a second: uncached that was a quarter of what it cost.
@lru_cache(maxsize=1_000)
def _is_part(process: str, parts: tuple[str, ...], pipelines: tuple[Pipeline, ...]) -> bool:
    services = (service.name for pipeline in pipelines for service in pipeline.info.services)
    least = max((len(name) for name in services if process.startswith(name)), default=0)
    return any(process.startswith(part) and len(part) >= least for part in parts)


def parse_pipelines(text: str) -> tuple[Pipeline, ...]:
    """Read a comma-separated list such as ``v1,v3``; duplicates fold, the order is by version.

    ``all`` is every pipeline; a list that begins with ``+`` comes in addition to those that run by default. Raises
    ValueError naming the item that is no pipeline, or when the list is empty.
    """
    items = [item.strip().lower() for item in text.split(",") if item.strip()]
    names = set(items)
    if items and items[0].startswith("+"):
        names = {*DEFAULT_PIPELINES, *(item.removeprefix("+").strip() for item in items)}
    if "all" in names:
        names = names - {"all"} | set(PIPELINES)
    if unknown := sorted(names - set(PIPELINES)):
        raise ValueError(f"{unknown[0]!r} is no pipeline; choose from {', '.join(sorted(PIPELINES))}")
    if not names:
        raise ValueError(f"names no pipeline; choose from {', '.join(sorted(PIPELINES))}")
    return tuple(pipeline for pipeline in PIPELINES if pipeline in names)
