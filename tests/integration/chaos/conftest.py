from tests.integration.lab.conftest import settings

__all__ = ["settings"]
