"""URLs of servers say to us what they say to libpq, asyncpg and redis-py, and each parameter has one fate."""

import string
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from asyncpg import connect_utils
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import parse_url

from coffee_core import server_urls
from coffee_core.errors import ConfigError
from coffee_core.server_urls import Endpoint, HttpUrl, PostgresUrl, RedisUrl, parse_endpoints, place
from coffee_core.settings import Settings
from tests.outside import libpq

PLAIN = "postgresql://coffee@db:5432/coffee"


def asyncpg_reads(url: str) -> tuple[list[tuple[str, int] | str], connect_utils._ConnectionParameters]:
    """Return where asyncpg connects to, and how."""
    names = ("host", "port", "user", "password", "passfile", "database", "ssl", "service", "servicefile")
    more = ("direct_tls", "server_settings", "target_session_attrs", "krbsrvname", "gsslib")
    found: tuple[list[tuple[str, int] | str], connect_utils._ConnectionParameters]
    found = connect_utils._parse_connect_dsn_and_args(dsn=url, **dict.fromkeys((*names, *more)))
    return found


def test_libpqs_every_parameter_has_a_fate() -> None:
    fates = [
        *server_urls._ADDRESS,
        *server_urls._CARRIED,
        *server_urls._WITHOUT_MEANING,
        *server_urls._NOT_HONOURED,
    ]
    assert len(fates) == len(set(fates))
    assert libpq.parameters().keys() <= set(fates)


def test_the_variables_are_libpqs() -> None:
    known = {variable: name for name, variable in libpq.parameters().items() if variable}
    assert server_urls._VARIABLES.items() <= {**known, "PGGSSLIB": "gsslib"}.items()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://coffee:p%40ss@db.example:6543/coffee?sslmode=require",
        "postgres://coffee@db/coffee",
        "postgresql://coffee:p#hash@db/coffee",
        "postgresql://coffee@[::1]:5433/coffee",
        "postgresql://coffee@[::1],db2:5433/coffee",
        "postgresql://us%20er@a:1,b:2,c/coffee",
        "postgresql:///coffee?host=/run/postgresql&user=me",
        "postgresql://coffee@%2Frun%2Fpostgresql:5433/coffee",
        "postgresql://coffee:old@localhost/other?host=/cloudsql/x&dbname=coffee&password=a%2Bb",
        "postgresql://?host=a,b&port=1,2&user=me&dbname=x",
        "postgresql://?host=a,b&port=7&user=me&dbname=x",
        "postgresql://me@db?application_name=a%20b",
        "postgresql://me@db/x?ssl=true",
        "postgresql://me@db/x?options=-c%20jit%3Doff",
    ],
)
def test_a_url_says_to_us_what_it_says_to_libpq_and_then_to_asyncpg(url: str) -> None:
    theirs = libpq.parse(url)
    assert theirs is not None
    ours = PostgresUrl.parse(url)
    ports = [port or "5432" for port in theirs.get("port", "").split(",")]
    hosts = theirs["host"].split(",")
    assert [(server.host, str(server.port)) for server in ours.endpoints] == list(
        zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True)
    )
    assert (ours.user, ours.password) == (theirs["user"], theirs.get("password", ""))
    assert ours.database == theirs.get("dbname", theirs["user"])
    for name in ("sslmode", "options", "application_name"):
        assert ours.parameters.get(name) == theirs.get(name)
    assert PostgresUrl.parse(str(ours)) == ours
    addresses, how = asyncpg_reads(str(ours))
    assert addresses == [server.socket_path or (server.host, server.port) for server in ours.endpoints]
    assert (how.user, how.password or "", how.database) == (ours.user, ours.password, ours.database)
    assert (how.server_settings or {}).keys() <= {"application_name", "options"}


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
hosts = st.one_of(
    st.text(string.ascii_lowercase, min_size=1), st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)
)


@given(words, words, words, hosts, st.integers(1, 65_535))
def test_whatever_is_percent_encoded_arrives_at_postgresqls_drivers(
    user: str, password: str, database: str, host: str, port: int
) -> None:
    encoded = [quote(word, safe="") for word in (user, password, database)]
    url = f"postgresql://{encoded[0]}:{encoded[1]}@{f'[{host}]' if ':' in host else host}:{port}/{encoded[2]}"
    theirs, ours = libpq.parse(url), PostgresUrl.parse(url)
    assert theirs is not None
    assert (ours.user, ours.password, ours.database) == (theirs["user"], theirs["password"], theirs["dbname"])
    addresses, how = asyncpg_reads(str(ours))
    assert (addresses, how.user, how.password, how.database) == ([(host, port)], user, password, database)


@given(words, words, hosts, st.integers(1, 65_535), st.integers(0, 15), st.booleans())
def test_whatever_is_percent_encoded_arrives_at_rediss_driver(
    user: str, password: str, host: str, port: int, database: int, tls: bool
) -> None:
    place = f"[{host}]" if ":" in host else host
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    url = f"redis{'s' * tls}://{login}@{place}:{port}/{database}"
    theirs, ours = parse_url(str(RedisUrl.parse(url))), RedisUrl.parse(url)
    assert (theirs.get("username"), theirs.get("password")) == (ours.user, ours.password) == (user, password)
    assert (theirs.get("host"), theirs.get("port"), theirs.get("db")) == (host, port, database)
    assert (ours.endpoint, ours.database) == (Endpoint(host, port), database)


@pytest.mark.parametrize(
    ("parameter", "complaint"),
    [
        ("channel_binding=require", "channel_binding=require cannot be honoured"),
        ("gssencmode=require", "gssencmode=require cannot be honoured"),
        ("require_auth=scram-sha-256", "require_auth cannot be honoured"),
        ("sslcrldir=/etc/crl", "sslcrldir cannot be honoured"),
        ("replication=database", "replication=database cannot be honoured"),
        ("sslmode=yes", "sslmode must be disable, allow, prefer, require, verify-ca or verify-full"),
        ("target_session_attrs=master", "target_session_attrs must be any"),
        ("pgbouncer=true", "'pgbouncer' is no parameter"),
        ("sslmode", "'sslmode' has no value"),
        ("port=http", "a port must be"),
        ("port=65536", "a port must be"),
        ("port=1,2", "2 ports for 1 hosts"),
        ("hostaddr=10.0.0.1&sslmode=verify-full", "hostaddr cannot be honoured"),
        ("sslnegotiation=direct", "sslnegotiation=direct needs"),
        ("service=nowhere", "service 'nowhere' is in no pg_service.conf"),
        ("user=a%00b", "user has a NUL character"),
    ],
)
def test_what_cannot_be_honoured_is_one_line_that_names_it_and_no_password(
    parameter: str, complaint: str, tmp_path: Path
) -> None:
    url = f"postgresql://coffee:hush@db/coffee?{parameter}"
    with pytest.raises(ConfigError, match=r"^DATABASE_URL cannot be used: ") as caught:
        Settings.from_env({"DATABASE_URL": url, "PGSERVICEFILE": str(tmp_path / "none")})
    assert complaint in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "parameter",
    [
        *(f"{name}=1" for name in ("connect_timeout", "keepalives", "keepalives_idle", "tcp_user_timeout")),
        *("channel_binding=prefer", "channel_binding=disable", "gssencmode=disable", "sslcertmode=allow"),
        *("client_encoding=utf8", "load_balance_hosts=random", "fallback_application_name=x", "sslmode="),
    ],
)
def test_what_has_no_meaning_here_is_left_out(parameter: str) -> None:
    assert str(PostgresUrl.parse(f"postgres://coffee@db/coffee?{parameter}")) == PLAIN


def test_settings_of_the_server_become_options_for_every_client() -> None:
    url = PostgresUrl.parse(f"{PLAIN}?search_path=a b&options=-c+jit%3Doff&statement_timeout=5s")
    assert url.parameters == {"options": "-c search_path=a\\ b -c jit=off -c statement_timeout=5s"}


def test_of_several_servers_the_one_that_takes_writes_is_meant() -> None:
    assert PostgresUrl.parse("postgresql://coffee@a,b/x").parameters == {"target_session_attrs": "read-write"}
    assert PostgresUrl.parse("postgresql://coffee@a,b/x?target_session_attrs=any").parameters == {
        "target_session_attrs": "any"
    }


def test_the_environment_says_what_the_url_does_not() -> None:
    environ = {
        "PGUSER": "barista",
        "PGPASSWORD": "hush",
        "PGDATABASE": "shop",
        "PGPORT": "7000",
        "PGSSLMODE": "require",
        "PGSSLROOTCERT": "/etc/ca.pem",
        "PGAPPNAME": "psql",
        "PGHOST": "elsewhere",
    }
    read = Settings.from_env({**environ, "DATABASE_URL": "postgresql://db"}).database_url
    assert read == ("postgresql://barista:hush@db:7000/shop?sslrootcert=/etc/ca.pem&sslmode=require")
    said = "postgresql://me:mine@db:1/x?sslmode=disable&sslrootcert=/ca"
    assert str(PostgresUrl.parse(said, environ)) == "postgresql://me:mine@db:1/x?sslrootcert=/ca&sslmode=disable"


def test_a_service_and_a_password_file_say_what_the_url_does_not(tmp_path: Path) -> None:
    services, passwords = tmp_path / "services", tmp_path / "passwords"
    services.write_text("[shop]\nhost=db\nport=7000\nuser=barista\nsslmode=require\n# a remark\n")
    passwords.write_text("# host:port:database:user:password\nother:*:*:*:no\ndb:7000:sh\\:op:*:a:b\\\\c\n")
    passwords.chmod(0o600)
    environ = {"PGSERVICEFILE": str(services), "PGPASSFILE": "/nowhere"}
    asked = f"postgresql:///sh%3Aop?service=shop&passfile={passwords}&connect_timeout=3"
    url = PostgresUrl.parse(asked, environ)
    assert str(url) == "postgresql://barista:a%3Ab%5Cc@db:7000/sh%3Aop?sslmode=require"
    passwords.chmod(0o644)
    assert PostgresUrl.parse(asked, environ).password == ""


def test_files_are_absolute_because_clients_have_other_working_folders() -> None:
    url = PostgresUrl.parse(f"{PLAIN}?sslmode=verify-ca&sslrootcert=ca.pem")
    assert url.parameters["sslrootcert"] == str(Path("ca.pem").absolute())
    assert RedisUrl.parse("rediss://h?ssl_ca_certs=ca.pem").parameters["ssl_ca_certs"] == str(
        Path("ca.pem").absolute()
    )


def test_the_systems_authorities_are_a_file_for_every_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorities = tmp_path / "bundle.pem"
    monkeypatch.setattr(server_urls, "_AUTHORITIES", ("/nowhere", str(authorities)))
    with pytest.raises(ValueError, match="sslrootcert=system"):
        PostgresUrl.parse(f"{PLAIN}?sslrootcert=system")
    authorities.write_text("")
    assert PostgresUrl.parse(f"{PLAIN}?sslrootcert=system").parameters == {
        "sslrootcert": str(authorities),
        "sslmode": "verify-full",
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("redis://", "redis://localhost:6379/0"),
        ("redis://h/", "redis://h:6379/0"),
        ("redis://h:7000/3/", "redis://h:7000/3"),
        ("redis://h/3?db=4", "redis://h:6379/4"),
        ("redis://[::1]:6379/1", "redis://[::1]:6379/1"),
        ("redis://:p%40%2F@h", "redis://:p%40%2F@h:6379/0"),
        ("redis://h?username=me&password=a+b", "redis://me:a%20b@h:6379/0"),
        ("redis://h?protocol=3&socket_timeout=0.1&max_connections=1&decode_responses=True", "redis://h:6379/0"),
        (
            "redis://h?health_check_interval=1&retry_on_timeout=yes&client_name=me",
            "redis://h:6379/0?client_name=me",
        ),
        ("redis://h?ssl_cert_reqs=none", "redis://h:6379/0"),
        ("rediss://h", "rediss://h:6379/0?ssl_check_hostname=true"),
        ("rediss://h?ssl_check_hostname=no", "rediss://h:6379/0?ssl_check_hostname=false"),
        ("rediss://h?ssl_cert_reqs=none", "rediss://h:6379/0?ssl_cert_reqs=none&ssl_check_hostname=false"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("unix://me:hush@/run/redis.sock?db=2", "unix://me:hush@/run/redis.sock?db=2"),
    ],
)
def test_a_url_of_redis_says_to_its_driver_what_it_says_to_us(url: str, expected: str) -> None:
    assert Settings.from_env({"REDIS_URL": url}).redis_url == expected
    ours, theirs = RedisUrl.parse(url), parse_url(expected)
    assert (theirs.get("host", "localhost"), theirs.get("port", 6379)) == (ours.endpoint.host, ours.endpoint.port)
    assert (theirs.get("db", 0), theirs.get("path", "")) == (ours.database, ours.path)
    assert (theirs.get("username", ""), theirs.get("password", "")) == (ours.user, ours.password)
    assert RedisUrl.parse(expected) == ours


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        (
            "REDIS_URL",
            "redis+sentinel://:hush@a:26379,b:26379/mymaster",
            "must be a URL that starts with redis://",
        ),
        ("REDIS_URL", "redis://:hush@a:6379,b:6379/0", "must name one server: no cluster, no sentinels"),
        ("REDIS_URL", "redis://:hush@::1/0", "an IPv6 address in brackets"),
        ("REDIS_URL", "redis://:hush@h/mydb", "the database must be a whole number"),
        ("REDIS_URL", "redis://:hush@h:٣/0", "a port must be"),
        ("REDIS_URL", "redis://:hush@h?ssl_min_version=TLSv1_3", "'ssl_min_version' is no parameter"),
        ("REDIS_URL", "rediss://:hush@h?ssl_cert_reqs=maybe", "ssl_cert_reqs must be"),
        ("REDIS_URL", "unix://:hush@host/run/redis.sock", "must name the socket"),
        ("API_URL", "http://me:hush@h/x?token=1", "must end before its query"),
        ("API_URL", "ftp://me:hush@h", "must be a URL that starts with http:// or https://"),
        ("API_URL", "http://me:hush@h:0", "a port must be"),
        ("FLINK_REST_URL", "http://me:hush@::1", "an IPv6 address in brackets"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_line_without_its_password(name: str, value: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} cannot be used: ") as caught:
        Settings.from_env({name: value})
    assert complaint in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "base", "host", "authorization"),
    [
        ("http://h", "http://h", "h", {}),
        ("HTTP://h:80/", "http://h", "h", {}),
        ("http://h:8005/coffee/", "http://h:8005/coffee", "h:8005", {}),
        ("https://[::1]:443/a/b", "https://[::1]/a/b", "[::1]", {}),
        ("https://us%40er:p%3A@h:443", "https://h", "h", {"Authorization": "Basic dXNAZXI6cDo="}),
    ],
)
def test_the_base_of_a_url_and_its_login_are_apart(
    url: str, base: str, host: str, authorization: Mapping[str, str]
) -> None:
    settings = Settings.from_env({"API_URL": url})
    assert (settings.api_url, settings.authorization) == (base, authorization)
    assert HttpUrl.parse(url).host == host
    assert HttpUrl.parse(settings.addresses["API_URL"]) == HttpUrl.parse(url)


def test_a_request_can_show_either_a_user_or_a_token() -> None:
    with pytest.raises(ConfigError, match="COFFEE_API_TOKEN"):
        Settings.from_env({"API_URL": "http://me:hush@h", "COFFEE_API_TOKEN": "token"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:1,b:2", "a:1,b:2"),
        (" a:1 , b:2,", "a:1,b:2"),
        ("[::1]:9092", "[::1]:9092"),
        ("", ""),
    ],
)
def test_brokers_are_read_with_blanks_a_comma_too_many_and_brackets(text: str, expected: str) -> None:
    assert Settings.from_env({"KAFKA_BOOTSTRAP_SERVERS": text}).given_kafka_servers == expected


@pytest.mark.parametrize("text", ["a", "a:", ":1", "::1:9092", "a:٣", "PLAINTEXT://a:9092", "a:0", "a:1,b"])
def test_what_names_no_brokers_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match=r"KAFKA_BOOTSTRAP_SERVERS .* must be HOST:PORT|a port must be"):
        Settings.from_env({"KAFKA_BOOTSTRAP_SERVERS": text})


def test_an_ipv6_address_loses_its_brackets_for_whoever_connects() -> None:
    assert parse_endpoints("[::1]:9092") == (Endpoint("::1", 9092),)


def test_a_place_has_no_password() -> None:
    assert place("postgresql://me:hush@a:1,[::1]:2/x") == "a:1,[::1]:2"
    assert place("redis://:hush@h") == "h:6379"
    assert place("unix://:hush@/run/redis.sock") == "/run/redis.sock"
    assert place("http://me:hush@h/flink") == "http://h/flink"
