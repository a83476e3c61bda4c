from urllib.parse import parse_qs

import pytest

from coffee_core.errors import ConfigError
from flink.statements import JdbcTarget


def test_a_postgresql_url_is_translated_and_its_secrets_stay_out_of_the_url() -> None:
    target = JdbcTarget.of_url("postgresql://us%40er:p%2Fw@db.example:6543/coffee?sslmode=require")
    address, _, query = target.url.partition("?")
    assert address == "jdbc:postgresql://db.example:6543/coffee"
    assert parse_qs(query) == {
        "sslmode": ["require"],
        "reWriteBatchedInserts": ["true"],
        "stringtype": ["unspecified"],
    }
    assert (target.user, target.password) == ("us@er", "p/w")


def test_a_url_without_a_password_has_an_empty_one() -> None:
    target = JdbcTarget.of_url("postgresql://coffee@127.0.0.1:5432/coffee")
    assert (target.user, target.password) == ("coffee", "")


@pytest.mark.parametrize(
    ("url", "jdbc", "named"),
    [
        ("postgresql://me@db/x", "jdbc:postgresql://db:5432/x", {}),
        ("postgresql://me@[::1]/x", "jdbc:postgresql://[::1]:5432/x", {}),
        ("postgresql://me@db/a%2Bb%20c", "jdbc:postgresql://db:5432/a%2Bb%20c", {}),
        ("postgresql://me@db", "jdbc:postgresql://db:5432/me", {}),
        ("postgresql://me@a:1,b:2/x", "jdbc:postgresql://a:1,b:2/x", {"targetServerType": "primary"}),
        ("postgresql://me@a/x?host=/run,b&port=1", "jdbc:postgresql://b:1/x", {"targetServerType": "primary"}),
        (
            "postgresql://me@db/x?target_session_attrs=prefer-standby",
            "jdbc:postgresql://db:5432/x",
            {"targetServerType": "preferSecondary"},
        ),
        (
            "postgresql://me@db/x?application_name=a%20b&options=-c%20jit%3Doff&connect_timeout=3&keepalives=1",
            "jdbc:postgresql://db:5432/x",
            {"ApplicationName": "a b", "options": "-c jit=off"},
        ),
        (
            "postgresql://me@db/x?sslmode=verify-full&sslrootcert=/ca&sslcert=/c&sslkey=/k&sslpassword=p%26",
            "jdbc:postgresql://db:5432/x",
            {"sslmode": "verify-full", "sslrootcert": "/ca", "sslcert": "/c", "sslkey": "/k", "sslpassword": "p&"},
        ),
        (
            "postgresql://me@db/x?sslmode=require&sslnegotiation=direct&channel_binding=prefer",
            "jdbc:postgresql://db:5432/x",
            {"sslmode": "require", "sslNegotiation": "direct"},
        ),
    ],
)
def test_parameters_have_the_names_of_jdbc(url: str, jdbc: str, named: dict[str, str]) -> None:
    address, _, query = JdbcTarget.of_url(url).url.partition("?")
    assert address == jdbc
    found = {name: value for name, (value,) in parse_qs(query).items()}
    assert found == {**named, "reWriteBatchedInserts": "true", "stringtype": "unspecified"}
    assert "+" not in query


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("postgresql://me:hush@/x?host=/run/postgresql", "no Unix sockets"),
        ("postgresql://me:hush@db/x?sslmode=require&sslcrl=/crl", "no sslcrl"),
        ("postgresql://me:hush@db/x?ssl_min_protocol_version=TLSv1.3", "no ssl_min_protocol_version"),
    ],
)
def test_what_flinks_driver_cannot_honour_is_one_line(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=r"^DATABASE_URL: ") as caught:
        JdbcTarget.of_url(url)
    assert complaint in str(caught.value)
    assert "hush" not in str(caught.value)
