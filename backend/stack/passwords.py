"""The passwords of the servers that this stack starts."""

from coffee_core.passwords import make_password
from coffee_core.settings import Settings


def make_passwords(settings: Settings) -> None:
    """See to it that the URLs of the embedded servers have their passwords from now on. Raises ConfigError."""
    if not settings.given_database_url:
        make_password(settings.home, "postgres")
    if not settings.given_redis_url:
        make_password(settings.home, "redis")
