"""The table of orders and its migrations."""

from backend.db.migrations import current_revision, migrate
from backend.db.resources import HEAD

__all__ = ["HEAD", "current_revision", "migrate"]
