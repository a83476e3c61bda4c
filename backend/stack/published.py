"""What a running stack publishes of itself for whoever attaches."""

from coffee_core.runstate import read_env, run_dir, write_env
from coffee_core.settings import Settings


def publish(settings: Settings) -> None:
    """Publish the addresses and the pipelines; several wrappers may do so at once."""
    values = {**settings.addresses, "COFFEE_PIPELINES": ",".join(settings.pipelines)}
    if read_env(settings.home) != values:
        write_env(settings.home, values)


def forget_states(settings: Settings) -> None:
    """Remove the states that an earlier stack has left, also those of parts that no longer run."""
    for path in run_dir(settings.home).glob("*.json"):
        path.unlink(missing_ok=True)


def forget_addresses(settings: Settings) -> None:
    """Remove the addresses: nothing answers there any more."""
    (run_dir(settings.home) / "env").unlink(missing_ok=True)
