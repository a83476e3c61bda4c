"""PostgreSQL and Redis that ask for TLS (mutual or not) and a password: real servers, TLS ended before them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import redis

from backend.stack import postgres as postgres_stack
from backend.stack import redis as redis_stack
from coffee_core.settings import Settings
from tests.outside.certificates import Certificate
from tests.outside.tls_front import tls_front
from tests.servers import free_port, serving

REDIS_RULES = "on ~* &* +@all -@admin -@dangerous +info +config|get"
"""What a user of the lab may do: everything but to administer the server."""


@contextlib.contextmanager
def guarded_postgres(folder: Path, certificate: Certificate) -> Iterator[str]:
    """URL of a database by TLS and its password, for the length of the block."""
    folder.mkdir()
    settings = Settings.from_env({"COFFEE_HOME": str(folder), "COFFEE_POSTGRES_PORT": str(free_port())})
    with (
        serving(postgres_stack.part(settings), settings, folder / "log"),
        tls_front(certificate.context, settings.postgres_port, postgres=True) as port,
    ):
        url = settings.database_url.replace(f":{settings.postgres_port}/", f":{port}/").partition("?")[0]
        own = f"&sslcert={certificate.client_certificate}&sslkey={certificate.client_key}"
        yield f"{url}?sslmode=verify-full&sslrootcert={certificate.authority}{own if certificate.mutual else ''}"


@contextlib.contextmanager
def guarded_redis(folder: Path, certificate: Certificate, password: str) -> Iterator[str]:
    """URL of a Redis by TLS for one ACL user, for the length of the block."""
    folder.mkdir()
    settings = Settings.from_env({"COFFEE_HOME": str(folder), "COFFEE_REDIS_PORT": str(free_port())})
    with serving(redis_stack.part(settings), settings, folder / "log"):
        with redis.Redis.from_url(settings.redis_url) as client:
            client.execute_command("ACL", "SETUSER", "barista", f">{password}", *REDIS_RULES.split())
            client.execute_command("ACL", "SETUSER", "default", "off")
        with tls_front(certificate.context, settings.redis_port) as port:
            own = f"&ssl_certfile={certificate.client_certificate}&ssl_keyfile={certificate.client_key}"
            url = f"rediss://barista:{password}@127.0.0.1:{port}/0?ssl_ca_certs={certificate.authority}"
            yield url + (own if certificate.mutual else "")
