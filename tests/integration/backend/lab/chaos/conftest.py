from tests.integration.backend.pipelines.conftest import settings

__all__ = ["settings"]
