"""Where the migrations lie, and which is the newest."""

from pathlib import Path

PACKAGE = Path(__file__).parent
"""Folder with ``env.py``, ``versions/`` and ``sql/``."""

HEAD = max(path.name.split("_", 1)[0] for path in (PACKAGE / "versions").glob("[0-9]*_*.py"))
"""The newest revision, read from the file names: asking Alembic would mean importing it."""
