"""What the toy teaches itself; of its other service, the lab knows what to say."""

from backend.pipelines.faults import Action, Fault, part_faults
from coffee_core.pipelines import Pipeline

FAULTS = (
    *part_faults("toy-worker", "the toy's worker comes back", "the toy's worker wakes"),
    Fault("poison-toy", "what the toy cannot store", Action.POISON, log=Pipeline("toy")),
)
