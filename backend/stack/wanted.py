"""What the chosen pipelines need of a stack: servers, and daemons of their own."""

from coffee_core.pipelines import PIPELINES, Service
from coffee_core.settings import Settings

API = "cafe-order-api"
"""The order API, which takes the orders of every pipeline."""
API_SERVERS = ("postgres", "redis")
"""What the API stands on whichever pipelines run."""


def wanted_servers(settings: Settings) -> frozenset[str]:
    """Return the servers that the API and the chosen pipelines stand on, given or embedded."""
    return frozenset(API_SERVERS).union(*(pipeline.info.servers for pipeline in settings.pipelines))


def wanted_services(settings: Settings) -> list[tuple[Service, tuple[str, ...]]]:
    """Return the daemons that run here, each with the servers of its pipeline."""
    return [
        (service, pipeline.info.servers)
        for pipeline in PIPELINES
        for service in pipeline.info.services
        if pipeline in settings.pipelines or (service.also_with and getattr(settings, service.also_with))
    ]
