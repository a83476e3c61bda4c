"""Where Flink's JDBC sink writes: a PostgreSQL URL in the form that Java knows."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

_BATCHED = {"reWriteBatchedInserts": "true", "stringtype": "unspecified"}
"""One INSERT for a batch of rows; text goes into uuid and timestamptz columns as PostgreSQL reads it."""


@dataclass(frozen=True, slots=True)
class JdbcTarget:
    """A database by JDBC."""

    url: str
    """``jdbc:postgresql://host:port/database?…``, without a password."""
    user: str
    """Role to connect as."""
    password: str
    """Its password; empty where none is needed."""

    @classmethod
    def of_url(cls, database_url: str) -> "JdbcTarget":
        """Translate a PostgreSQL URL; its parameters (``sslmode`` …) are carried over."""
        parts = urlsplit(database_url)
        place = parts.netloc.rpartition("@")[2]
        query = urlencode({**dict(parse_qsl(parts.query)), **_BATCHED})
        return cls(
            f"jdbc:postgresql://{place}{parts.path}?{query}",
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )
