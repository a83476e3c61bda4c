"""The table of orders and its migrations."""

from backend.db.migrations import HEAD, current_revision, is_current, migrate

__all__ = ["HEAD", "current_revision", "is_current", "migrate"]
