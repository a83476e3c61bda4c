from pathlib import Path

import pytest

from coffee_core.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str) -> Settings:
    """Settings of v1 and v2 on the servers of this test."""
    return Settings.from_env({"COFFEE_HOME": str(tmp_path), "DATABASE_URL": database_url, "REDIS_URL": redis_url})
