from urllib.parse import parse_qs

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
