"""The SQL of this package, from files of their own."""

from importlib.resources import files


def sql(name: str) -> str:
    """Return the statement in ``sql/{name}.sql``."""
    return (files("backend.lab.bench") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
