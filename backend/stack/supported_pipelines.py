"""Which of the wanted pipelines this machine can run."""

import importlib.util
from dataclasses import replace

from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.settings import Settings


def supported_pipelines(settings: Settings) -> tuple[Settings, str]:
    """Return the settings without the pipelines that cannot run here, and why one cannot."""
    if V3 not in settings.pipelines or importlib.util.find_spec("pyflink") is not None:
        return settings, ""
    others = tuple(each for each in settings.pipelines if each != V3)
    missing = "v3 is left out: apache-flink is not installed (no wheel of it exists for this machine)"
    return replace(settings, pipelines=others or (V1, V2)), missing
