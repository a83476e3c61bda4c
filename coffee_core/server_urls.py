"""The URLs of servers, read by one hand for every client: which parameters are known, and what becomes of each.

The settings keep a URL as it is written here, with nothing in it that a driver of ours misreads: asyncpg passes
what it does not know to the server as settings, redis-py to the constructor of a connection.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from ssl import SSLContext

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:([^/?]*)@)?([^/?]*)(/[^?]*)?(?:\?(.*))?", re.DOTALL)
_HOST = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]*))(?::([^:]*))?")
_PASSWORD = re.compile(r"(?!#)" + r"((?:[^:\\]|\\.)*):" * 4 + "(.*)")
"""A line of ``.pgpass``: host, port, database, user, password; a backslash escapes."""

# What libpq has and asyncpg takes, or what we do with it.
_ADDRESS = ("host", "hostaddr", "port", "dbname", "database", "user", "password", "passfile", "service")
_FILES = ("sslcert", "sslkey", "sslrootcert", "sslcrl")
_CARRIED = (
    *_FILES,
    *("sslmode", "sslnegotiation", "sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version"),
    *("target_session_attrs", "application_name", "options", "krbsrvname", "gsslib"),
)
_WITHOUT_MEANING = frozenset(
    {
        # Our programs have deadlines and probes of their own.
        *("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("tcp_user_timeout", "fallback_application_name", "load_balance_hosts", "max_protocol_version"),
        *("client_encoding", "sslcompression", "sslsni", "sslkeylogfile", "gssdelegation"),
        *("channel_binding", "gssencmode", "sslcertmode", "replication", "min_protocol_version"),
    }
)
_HONOURED_VALUES = {
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "sslcertmode": ("allow",),
    "replication": ("false", "off", "no", "0"),
    "min_protocol_version": ("3.0",),
}
"""Of what is left out, the values that promise nothing which is then not kept."""
_NOT_HONOURED = frozenset(
    {
        *("require_auth", "requirepeer", "sslcrldir", "scram_client_key", "scram_server_key"),
        *("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope", "oauth_ca_file"),
    }
)
_SERVER_SETTINGS = frozenset(
    {
        *("search_path", "timezone", "jit", "work_mem", "role", "default_transaction_isolation"),
        *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"),
        *("idle_session_timeout", "synchronous_commit", "log_min_duration_statement"),
    }
)
"""Settings of the server that asyncpg takes as parameters of a URL; everybody gets them as ``options``."""
_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
}
_VARIABLES = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGPASSFILE": "passfile",
    "PGSSLMODE": "sslmode",
    "PGSSLNEGOTIATION": "sslnegotiation",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCRL": "sslcrl",
    "PGSSLMINPROTOCOLVERSION": "ssl_min_protocol_version",
    "PGSSLMAXPROTOCOLVERSION": "ssl_max_protocol_version",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGKRBSRVNAME": "krbsrvname",
    "PGGSSLIB": "gsslib",
}
"""libpq's variables that asyncpg reads, too, where a URL is silent, and the parameter of each."""
_SOCKET_FOLDERS = ("/run/postgresql", "/var/run/postgresql", "/tmp")  # noqa: S108 - where servers put their sockets
_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where systems keep the authorities they trust, as one PEM file: ``sslrootcert=system``."""

_REDIS_TLS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_ciphers")
_REDIS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_REDIS_WITHOUT_MEANING = frozenset(
    {
        # Every program has deadlines of its own, and repeats nothing by itself: what was sent may have been done.
        *("socket_timeout", "socket_connect_timeout", "timeout", "retry_on_timeout", "retry_on_error"),
        *("socket_keepalive", "health_check_interval", "max_connections", "socket_read_size"),
        # How answers are read is each program's own business: RESP 2, and text or bytes.
        *("protocol", "decode_responses", "encoding", "encoding_errors", "lib_name", "lib_version"),
    }
)
_FALSE = ("0", "f", "false", "n", "no")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens."""

    host: str
    """Name or address, without brackets; what begins with a slash is the folder of a PostgreSQL's Unix socket."""
    port: int

    @property
    def socket_path(self) -> str:
        """The Unix socket of a PostgreSQL; empty of a host."""
        return f"{self.host}/.s.PGSQL.{self.port}" if self.host.startswith("/") else ""

    def __str__(self) -> str:
        if self.socket_path:
            return self.socket_path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoints(text: str) -> tuple[Endpoint, ...]:
    """Read HOST:PORT, several separated by commas, an IPv6 address in brackets. Raises ValueError."""
    servers = [server.strip() for server in text.split(",") if server.strip()]
    endpoints = []
    for server in servers:
        if "://" in server:
            raise ValueError(
                "must be HOST:PORT without a scheme: KAFKA_SECURITY_PROTOCOL says how it is spoken to"
            )
        match = _HOST.fullmatch(server)
        if match is None or not (match[1] or match[2]) or not match[3]:
            raise ValueError("must be HOST:PORT, several separated by commas, an IPv6 address in brackets")
        endpoints.append(Endpoint(match[1] or match[2], _port(match[3])))
    return tuple(endpoints)


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A URL of PostgreSQL, as libpq and asyncpg read it."""

    endpoints: tuple[Endpoint, ...]
    """The servers, tried in this order."""
    user: str
    password: str
    """Empty where none is needed."""
    database: str
    parameters: Mapping[str, str]
    """What else it says, by libpq's names; every file by its absolute path."""

    @classmethod
    def parse(cls, text: str, environ: Mapping[str, str] | None = None) -> "PostgresUrl":
        """Read a URL; what it does not say, its service and then libpq's variables in ``environ`` say.

        Raises ValueError where it is none, or asks for what cannot be honoured.
        """
        given = _postgres_parameters(text)
        if "service" in given:
            given = _service(given["service"], environ or {}) | given
        given = (
            {name: environ[key] for key, name in _VARIABLES.items() if environ.get(key)} | given
            if environ
            else given
        )
        for name, choices in _CHOICES.items():
            if given.get(name, choices[0]) not in choices:
                raise ValueError(f"{name} must be {', '.join(choices[:-1])} or {choices[-1]}")
        hosts = _hosts(given)
        endpoints = tuple(map(Endpoint, hosts, _ports(given.get("port", ""), len(hosts))))
        user = given.get("user") or _system_user()
        database, password = given.get("dbname") or user, given.get("password", "")
        if environ is not None and not password:
            password = _password_from_file(given.get("passfile", ""), endpoints, database, user)
        return cls(endpoints, user, password, database, _postgres_options(given, endpoints))

    @property
    def sslmode(self) -> str:
        """How TLS is used; libpq's default where the URL says nothing."""
        return self.parameters.get("sslmode", "prefer")

    def require_files(self) -> None:
        """Raise an OSError that names the parameter where a file cannot be read: the drivers name neither."""
        _require_files(self.parameters, _FILES)

    def tls_context(self) -> "SSLContext | None":
        """Return the context of a connection that insists on TLS, None of any other.

        Raises OSError where a file cannot be read.
        """
        if self.sslmode not in ("require", "verify-ca", "verify-full"):
            return None
        self.require_files()
        authority = self.parameters.get("sslrootcert") or os.path.expanduser("~/.postgresql/root.crt")  # noqa: PTH111
        if "sslrootcert" not in self.parameters and not Path(authority).is_file():
            authority = ""
        context = _context(authority, self.sslmode != "require", self.sslmode == "verify-full")
        context.set_alpn_protocols(["postgresql"])  # servers ask for it where TLS begins at once
        if certificate := self.parameters.get("sslcert"):
            password = self.parameters.get("sslpassword", "")
            context.load_cert_chain(certificate, self.parameters.get("sslkey"), password)
        return context

    @property
    def place(self) -> str:
        """Where the servers listen, for messages."""
        return ",".join(map(str, self.endpoints))

    def __str__(self) -> str:
        user, password = _quoted(self.user), f":{_quoted(self.password)}" if self.password else ""
        hosts = ",".join(f"{_written(server.host)}:{server.port}" for server in self.endpoints)
        return f"postgresql://{user}{password}@{hosts}/{_quoted(self.database)}{_query(self.parameters)}"


def _postgres_parameters(text: str) -> dict[str, str]:
    """Return all that a URL says, by libpq's names; later ones win, as they do with libpq."""
    _, login, hosts, path, query = _split(text, "postgresql", "postgres")
    user, _, password = login.partition(":")
    servers = [_HOST.fullmatch(server) for server in hosts.split(",")] if hosts else []
    found = [match for match in servers if match is not None]
    if len(found) < len(servers):
        raise ValueError("an IPv6 address stands in brackets: [::1]:5432")
    ports = [match[3] or "" for match in found]
    said = {
        "user": unquote(user),
        "password": unquote(password),
        "host": ",".join(unquote(match[1] or match[2]) for match in found),
        "port": ",".join(ports) if any(ports) else "",
        "dbname": unquote(path.removeprefix("/")),
    }
    said |= _said_by(query)
    said = {name: value for name, value in said.items() if value}
    if broken := [name for name, value in said.items() if "\0" in value]:
        raise ValueError(f"{broken[0]} has a NUL character")
    return said


def _said_by(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what the query of a URL of PostgreSQL says that has a meaning here."""
    said: dict[str, str] = {}
    for name, value in query:
        if name == "ssl" and value == "true":  # as JDBC writes it; libpq takes it, too
            said["sslmode"] = "require"
        elif name in _SERVER_SETTINGS:
            said["options"] = f"{said.get('options', '')} -c {name}={_escaped(value)}".strip()
        elif name == "options":
            # asyncpg reads a plus sign as a blank, libpq does not; nobody's options have one.
            said["options"] = f"{said.get('options', '')} {value.replace('+', ' ')}".strip()
        elif name in _ADDRESS or name in _CARRIED:
            said["dbname" if name == "database" else name] = value
        elif name not in _WITHOUT_MEANING and name not in _NOT_HONOURED:
            raise ValueError(
                f"{name!r} is no parameter of such a URL (settings of the server: options=-c%20NAME%3DVALUE)"
            )
        elif value and name not in _WITHOUT_MEANING:
            raise ValueError(f"{name} cannot be honoured: leave it out")
        elif value and value not in _HONOURED_VALUES.get(name, (value,)):
            raise ValueError(f"{name}={value} cannot be honoured: leave it out")
    return said


def _escaped(value: str) -> str:
    """Return a value as the server takes options apart: at blanks that no backslash precedes."""
    return re.sub(r"([\s\\])", r"\\\1", value)


def _hosts(given: Mapping[str, str]) -> list[str]:
    """Return the hosts, without brackets; where none is named, the sockets that are there, then localhost."""
    hosts, addresses = given.get("host", ""), given.get("hostaddr", "")
    if addresses and hosts and given.get("sslmode") == "verify-full":
        raise ValueError("hostaddr cannot be honoured with sslmode=verify-full: name the host alone")
    if not (hosts or addresses):
        return [folder for folder in _SOCKET_FOLDERS if _has_socket(folder)] + ["localhost"]
    return [
        host.strip().removeprefix("[").removesuffix("]") or "localhost" for host in (addresses or hosts).split(",")
    ]


def _has_socket(folder: str) -> bool:
    try:
        return any(Path(folder).glob(".s.PGSQL.*"))
    except OSError:
        return False


def _ports(text: str, hosts: int) -> list[int]:
    ports = [_port(port.strip()) if port.strip() else 5432 for port in text.split(",")]
    if len(ports) not in (1, hosts):
        raise ValueError(f"{len(ports)} ports for {hosts} hosts: name one for each, or one for all")
    return ports if len(ports) == hosts else ports * hosts


def _postgres_options(given: Mapping[str, str], endpoints: Iterable[Endpoint]) -> dict[str, str]:
    options = {name: given[name] for name in _CARRIED if name in given}
    if options.get("sslrootcert") == "system":
        if options.setdefault("sslmode", "verify-full") != "verify-full":
            raise ValueError("sslrootcert=system needs sslmode=verify-full")
        options["sslrootcert"] = next((file for file in _AUTHORITIES if Path(file).is_file()), "")
        if not options["sslrootcert"]:
            raise ValueError("sslrootcert=system: this system has no file of authorities: name one")
    if options.get("sslnegotiation") == "direct" and options.get("sslmode", "prefer") in _CHOICES["sslmode"][:3]:
        raise ValueError("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full")
    if len(list(endpoints)) > 1:
        # Every client of ours writes: of several servers the one that takes writes is meant.
        options.setdefault("target_session_attrs", "read-write")
    # Other programs, Flink's among them, have other working folders.
    return {name: os.path.abspath(value) if name in _FILES else value for name, value in options.items()}  # noqa: PTH100


def _system_user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # an account without a name, as in containers
        raise ValueError("names no user") from error


def _service(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what ``pg_service.conf`` says of a service."""
    import configparser

    files = [environ.get("PGSERVICEFILE", ""), str(Path("~/.pg_service.conf").expanduser())]
    if folder := environ.get("PGSYSCONFDIR"):
        files.append(f"{folder}/pg_service.conf")
    for file in filter(None, files):
        services = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=False)
        try:
            services.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            raise ValueError(f"service {name!r}: {file} cannot be read") from error
        if services.has_section(name):
            query = "&".join(f"{key}={_quoted(value)}" for key, value in services.items(name) if key != "service")
            return _postgres_parameters(f"postgresql://?{query}" if query else "postgresql://")
    raise ValueError(f"service {name!r} is in no pg_service.conf")


def _password_from_file(path: str, endpoints: Iterable[Endpoint], database: str, user: str) -> str:
    """Return the password in ``.pgpass``, or nothing; as libpq does, passes over a file that others may read."""
    file = Path(path or os.path.expanduser("~/.pgpass"))  # noqa: PTH111 - Path's raises where there is no home
    try:
        if file.stat().st_mode & 0o077 or not file.is_file():
            return ""
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    entries = [
        [re.sub(r"\\(.)", r"\1", word) for word in match.groups()]
        for match in map(_PASSWORD.fullmatch, lines)
        if match
    ]
    for server in endpoints:
        asked = ("localhost" if server.socket_path else server.host, str(server.port), database, user)
        for *words, password in entries:
            if all(word in ("*", wanted) for word, wanted in zip(words, asked, strict=True)):
                return password
    return ""


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A URL of Redis, as redis-py reads it."""

    endpoint: Endpoint
    path: str
    """The Unix socket; empty where it is reached by ``endpoint``."""
    tls: bool
    user: str
    """Empty for the default user."""
    password: str
    database: int
    parameters: Mapping[str, str]
    """``client_name`` and what redis-py needs for TLS; every file by its absolute path."""

    @classmethod
    def parse(cls, text: str) -> "RedisUrl":
        """Read a URL. Raises ValueError where it is none, or asks for what cannot be honoured."""
        scheme, login, host, path, query = _split(text, "redis", "rediss", "unix")
        # redis-py decodes a value of the query twice.
        said = {name: unquote(value.replace("+", " ")) for name, value in reversed(query)}
        for name in said:
            if name not in (*_REDIS_TLS, "db", "username", "password", "client_name", *_REDIS_WITHOUT_MEANING):
                raise ValueError(f"{name!r} is no parameter of such a URL that can be honoured")
        database = said.get("db") or ("" if scheme == "unix" else unquote(path).replace("/", "")) or "0"
        if not (database.isascii() and database.isdecimal()):
            raise ValueError("the database must be a whole number")
        user, _, password = (unquote(word) for word in login.partition(":"))
        server = _HOST.fullmatch(host)
        if "," in host or server is None:
            raise ValueError("must name one server: no cluster, no sentinels, an IPv6 address in brackets")
        if scheme == "unix" and (host or not path):
            raise ValueError("must name the socket: unix:///run/redis.sock")
        parameters = {name: said[name] for name in ("client_name", *_REDIS_TLS) if said.get(name)}
        if scheme != "rediss":
            parameters = {name: value for name, value in parameters.items() if name not in _REDIS_TLS}
        return cls(
            Endpoint(unquote(server[1] or server[2] or "localhost"), _port(server[3]) if server[3] else 6379),
            unquote(path) if scheme == "unix" else "",
            scheme == "rediss",
            user or said.get("username", ""),
            password or said.get("password", ""),
            int(database),
            _redis_tls(parameters) if scheme == "rediss" else parameters,
        )

    def tls_context(self) -> "SSLContext | None":
        """Return the context of a connection, None where it is without TLS. Raises OSError of a file."""
        if not self.tls:
            return None
        said = self.parameters
        _require_files(said, _REDIS_FILES)
        context = _context(
            said.get("ssl_ca_certs", ""), said.get("ssl_cert_reqs") != "none", said["ssl_check_hostname"] == "true"
        )
        if ciphers := said.get("ssl_ciphers"):
            context.set_ciphers(ciphers)
        if certificate := said.get("ssl_certfile"):
            context.load_cert_chain(certificate, said.get("ssl_keyfile"), "")
        return context

    @property
    def place(self) -> str:
        """Where the server listens, for messages."""
        return self.path or str(self.endpoint)

    def __str__(self) -> str:
        login = f"{_quoted(self.user)}{f':{_quoted(self.password)}' if self.password else ''}"
        login = login and f"{login}@"
        # Encoded twice, because redis-py decodes it twice.
        query = {name: _quoted(value) if "%" in value else value for name, value in self.parameters.items()}
        if self.path:
            database = {"db": str(self.database)} if self.database else {}
            return f"unix://{login}{quote(self.path)}{_query(database | query)}"
        scheme, host = "rediss" if self.tls else "redis", _written(self.endpoint.host)
        return f"{scheme}://{login}{host}:{self.endpoint.port}/{self.database}{_query(query)}"


def _redis_tls(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of TLS for redis-py, which checks the server's name only when asked."""
    verified = parameters.get("ssl_cert_reqs", "required")
    if verified not in ("none", "optional", "required"):
        raise ValueError("ssl_cert_reqs must be none, optional or required")
    checked = verified != "none" and parameters.get("ssl_check_hostname", "true").lower() not in _FALSE
    files = {name: os.path.abspath(parameters[name]) for name in _REDIS_FILES if name in parameters}  # noqa: PTH100
    return {**parameters, **files, "ssl_check_hostname": "true" if checked else "false"}


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """The base of a URL of ours: of the API, or of Flink's REST API."""

    scheme: str
    endpoint: Endpoint
    path: str
    """What a proxy has before it, without a slash at its end; mostly empty."""
    user: str
    password: str

    @classmethod
    def parse(cls, text: str) -> "HttpUrl":
        """Read a URL. Raises ValueError where it is none."""
        scheme, login, host, path, query = _split(text, "http", "https")
        server = _HOST.fullmatch(host)
        if server is None or not (server[1] or server[2]):
            raise ValueError("must name a host, an IPv6 address in brackets")
        if query or "#" in path or "?" in text:
            raise ValueError("must end before its query")
        if not re.fullmatch(r"[!-~]*", path):
            raise ValueError("must have a path of ASCII, everything else percent-encoded")
        user, _, password = (unquote(word) for word in login.partition(":"))
        port = _port(server[3]) if server[3] else 443 if scheme == "https" else 80
        return cls(scheme, Endpoint(unquote(server[1] or server[2]), port), path.rstrip("/"), user, password)

    @property
    def host(self) -> str:
        """Host and, where it is not the scheme's own, port: the header ``Host``."""
        usual = self.endpoint.port == (443 if self.scheme == "https" else 80)
        return _written(self.endpoint.host) + ("" if usual else f":{self.endpoint.port}")

    @property
    def base(self) -> str:
        """The URL without a user, without a slash at its end."""
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def authorization(self) -> dict[str, str]:
        """The header that says who we are (RFC 7617), where the URL does."""
        if not (self.user or self.password):
            return {}
        from base64 import b64encode

        return {"Authorization": f"Basic {b64encode(f'{self.user}:{self.password}'.encode()).decode()}"}

    def __str__(self) -> str:
        login = f"{_quoted(self.user)}{f':{_quoted(self.password)}' if self.password else ''}"
        return self.base.replace("://", f"://{login}@", 1) if login else self.base


def _require_files(parameters: Mapping[str, str], names: Iterable[str]) -> None:
    for name in names:
        if file := parameters.get(name):
            try:
                with open(file, "rb"):  # noqa: PTH123 - whether it can be, as the drivers will
                    pass
            except OSError as error:
                raise OSError(error.errno, f"{name}={file} cannot be read: {error.strerror}") from error


def _context(authority: str, verified: bool, check_hostname: bool) -> "SSLContext":
    import ssl

    context = ssl.create_default_context(cafile=authority or None)
    context.check_hostname = check_hostname
    if not verified:
        context.verify_mode = ssl.CERT_NONE
    return context


def place(url: str) -> str:
    """Return where the server of a URL listens, without a user and a password."""
    scheme = url.partition(":")[0]
    if scheme in ("postgresql", "postgres"):
        return PostgresUrl.parse(url).place
    if scheme in ("http", "https"):
        return HttpUrl.parse(url).base
    return RedisUrl.parse(url).place


def _split(text: str, *schemes: str) -> tuple[str, str, str, str, list[tuple[str, str]]]:
    """Return scheme, login, hosts, path and the pairs of the query, the values decoded. Raises ValueError."""
    match = _URL.fullmatch(text)
    if match is None or match[1].lower() not in schemes:
        raise ValueError(f"must be a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    scheme, login, hosts, path, query = (part or "" for part in match.groups())
    return scheme.lower(), login, hosts, path, list(_pairs(query))


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"parameter {unquote(name)!r} has no value")
        yield unquote(name), unquote(value)


def _query(parameters: Mapping[str, str]) -> str:
    pairs = "&".join(f"{name}={quote(value, safe='/:')}" for name, value in parameters.items())
    return pairs and f"?{pairs}"


def _written(host: str) -> str:
    """Return a host as a URL has it."""
    return f"[{quote(host, safe=':')}]" if ":" in host and not host.startswith("/") else _quoted(host)


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65_536):
        raise ValueError("a port must be a whole number from 1 to 65535")
    return int(text)
