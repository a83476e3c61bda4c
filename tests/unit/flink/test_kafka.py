from coffee_core.settings import Settings
from flink.statements import kafka_properties, statement, values

GIVEN = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9093", "KAFKA_SSL_CA": "/etc/ca.pem"}


def test_without_security_there_are_the_servers_alone() -> None:
    assert kafka_properties(Settings.from_env({})) == {"properties.bootstrap.servers": "127.0.0.1:9092"}


def test_tls_trusts_the_file() -> None:
    properties = kafka_properties(Settings.from_env({**GIVEN, "KAFKA_SECURITY_PROTOCOL": "SSL"}))
    assert properties == {
        "properties.bootstrap.servers": "kafka:9093",
        "properties.security.protocol": "SSL",
        "properties.ssl.truststore.type": "PEM",
        "properties.ssl.truststore.location": "/etc/ca.pem",
    }


def test_a_certificate_of_its_own_is_shown_where_there_is_one() -> None:
    environ = {**GIVEN, "KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEYSTORE": "/etc/us.pem"}
    properties = kafka_properties(Settings.from_env(environ))
    assert properties["properties.ssl.keystore.type"] == "PEM"
    assert properties["properties.ssl.keystore.location"] == "/etc/us.pem"


def test_a_password_may_have_quotes_of_every_kind() -> None:
    environ = {
        **GIVEN,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": "o'neill",
        "KAFKA_SASL_PASSWORD": "a\"b\\c'd",
    }
    settings = Settings.from_env(environ)
    login = kafka_properties(settings)["properties.sasl.jaas.config"]
    assert login.endswith('ScramLoginModule required username="o\'neill" password="a\\"b\\\\c\'d";')
    for name in ("orders_log", "dead_letters"):
        assert "'properties.sasl.jaas.config' = '" + login.replace("'", "''") + "'" in statement(
            name, values(settings)
        )
