"""How every Kafka client of the backend connects: servers, TLS and user, by the settings."""

import ssl
from typing import Any

from coffee_core.errors import ConfigError
from coffee_core.settings import Settings


def kafka_options(settings: Settings) -> dict[str, Any]:
    """Return what aiokafka's producers, consumers and admin clients share, as keyword arguments.

    Raises ConfigError where the file of KAFKA_SSL_CA or KAFKA_SSL_KEYSTORE cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_servers,
        "security_protocol": settings.kafka_protocol,
    }
    if settings.kafka_protocol.startswith("SASL_"):
        options |= {
            "sasl_mechanism": settings.kafka_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password,
        }
    context = kafka_tls(settings)
    return options | ({"ssl_context": context} if context else {})


def kafka_tls(settings: Settings) -> ssl.SSLContext | None:
    """Return the context of a connection to a broker, None where it is without TLS. Raises ConfigError."""
    if not settings.kafka_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca or None)
    except OSError as error:  # also of a file that holds no certificate
        raise ConfigError(f"KAFKA_SSL_CA {settings.kafka_ca!r} cannot be used: {error}") from error
    if settings.kafka_keystore:
        try:
            context.load_cert_chain(settings.kafka_keystore)
        except OSError as error:
            raise ConfigError(f"KAFKA_SSL_KEYSTORE {settings.kafka_keystore!r} cannot be used: {error}") from error
    return context
