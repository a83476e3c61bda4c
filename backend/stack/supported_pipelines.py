"""Which of the wanted pipelines this machine can run."""

import importlib.util
from dataclasses import replace

from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.settings import Settings


def supported_pipelines(settings: Settings) -> tuple[Settings, str]:
    """Return the settings without the pipelines that cannot run here, and why those are left out.

    Where none is left, those run that run by default, as far as they can.
    """
    missing = {each: reason for each in settings.pipelines if (reason := missing_package(each))}
    if not missing:
        return settings, ""
    others = tuple(each for each in settings.pipelines if each not in missing)
    defaults = tuple(each for each in PIPELINES if each.info.default and not missing_package(each))
    reasons = "; ".join(f"{each} is left out: {reason}" for each, reason in missing.items())
    return replace(settings, pipelines=others or defaults), reasons


def missing_package(pipeline: Pipeline) -> str:
    """Return which package this pipeline lacks here, in words; empty where it has all that it requires."""
    for each in pipeline.info.requires:
        if importlib.util.find_spec(each.module) is None:
            return f"{each.package} is not installed ({each.hint})"
    return ""
