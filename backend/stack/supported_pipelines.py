"""Which of the wanted pipelines this machine can run."""

import importlib.util
import sys
from dataclasses import replace

from backend.stack.places import ON_JAVA, java_obstacle
from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.settings import Settings


def supported_pipelines(settings: Settings) -> tuple[Settings, str]:
    """Return the settings without the pipelines that cannot run here, and why those are left out.

    Where none is left, those run that run by default, as far as they can.
    """

    def lacking(pipeline: Pipeline) -> str:
        started = _started(pipeline, settings)
        obstacle = java_obstacle(settings) if ON_JAVA & started else ""
        return missing_package(pipeline) or obstacle or (missing_library() if "flink" in started else "")

    missing = {pipeline: reason for pipeline in settings.pipelines if (reason := lacking(pipeline))}
    if not missing:
        return settings, ""
    others = tuple(pipeline for pipeline in settings.pipelines if pipeline not in missing)
    defaults = tuple(pipeline for pipeline in PIPELINES if pipeline.info.default and not lacking(pipeline))
    reasons = "; ".join(f"{pipeline} is left out: {reason}" for pipeline, reason in missing.items())
    return replace(settings, pipelines=others or defaults), reasons


def _started(pipeline: Pipeline, settings: Settings) -> set[str]:
    """Return the servers of this pipeline that run here, without those that are given."""
    given = {"kafka": settings.given_kafka_servers, "flink": settings.given_flink_rest_url}
    return {server for server in pipeline.info.servers if not given.get(server)}


def missing_library() -> str:
    """Return what a TaskManager lacks here to run Python, in words; empty where it lacks nothing.

    It loads Python as a library, which distributions keep in a package of its own.
    """
    if importlib.util.find_spec("find_libpython") is None:
        return ""
    from find_libpython import find_libpython

    if find_libpython():
        return ""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"Flink needs Python's shared library, libpython{version} (Debian: apt install libpython{version})"


def missing_package(pipeline: Pipeline) -> str:
    """Return which package this pipeline lacks here, in words; empty where it has all that it requires."""
    for required in pipeline.info.requires:
        spec = importlib.util.find_spec(required.module)
        # A folder without modules is no package: apache-flink-libraries has its jars in that of apache-flink.
        if spec is None or spec.origin is None:
            return f"{required.package} is not installed ({required.hint})"
    return ""
