"""How the job's Kafka source and sink connect: servers, TLS and user, as options of the SQL connector."""

from coffee_core.settings import Settings

_LOGIN = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
"""Where the SQL connector keeps Kafka's own classes."""
_MODULES = {
    "PLAIN": f"{_LOGIN}.plain.PlainLoginModule",
    "SCRAM-SHA-256": f"{_LOGIN}.scram.ScramLoginModule",
    "SCRAM-SHA-512": f"{_LOGIN}.scram.ScramLoginModule",
}


def kafka_properties(settings: Settings) -> dict[str, str]:
    """Return the options ``properties.…`` of a table on Kafka."""
    chosen = {"bootstrap.servers": settings.kafka_servers}
    if settings.kafka_protocol != "PLAINTEXT":
        chosen["security.protocol"] = settings.kafka_protocol
    if settings.kafka_protocol.startswith("SASL_"):
        chosen["sasl.mechanism"] = settings.kafka_mechanism
        user, password = _quoted(settings.kafka_username), _quoted(settings.kafka_password)
        login = f"{_MODULES[settings.kafka_mechanism]} required username={user} password={password};"
        chosen["sasl.jaas.config"] = login
    if settings.kafka_protocol.endswith("SSL") and settings.kafka_ca:
        chosen |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": settings.kafka_ca}
    if settings.kafka_protocol.endswith("SSL") and settings.kafka_keystore:
        chosen |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": settings.kafka_keystore}
    return {f"properties.{name}": value for name, value in chosen.items()}


def _quoted(text: str) -> str:
    """Return a value as JAAS reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
