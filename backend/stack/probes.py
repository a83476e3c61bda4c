"""Quick probes of a server, on the bare protocol: whether it answers, with TLS where its URL asks for it.

Not by the drivers, although they are installed: in a wrapper, which is a process a part under honcho and otherwise
holds 14 MB of its own, importing redis.asyncio costs 16 MB and 330 ms of processor time, aiokafka 7 MB and 150 ms,
asyncpg 4 MB and 65 ms; in the supervisor all three together 19 MB and 550 ms, in the midst of a start. And a probe
here ends before the login: PostgreSQL need not compute SCRAM every second.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable
from urllib.parse import parse_qs, unquote, urlsplit

_WITHIN_S = 1.0
_READ_BYTES = 65_536
_POSTGRES_PROTOCOL_3 = 196_608
_POSTGRES_SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)
_POSTGRES_NOT_NOW = (b"C57P03", b"C53300")  # starting up or shutting down; too many connections


async def postgres_answers(url: str) -> bool:
    """Tell whether a PostgreSQL server takes sessions there (also one that wants a password or TLS first)."""
    parts = urlsplit(url)
    user, database = parts.username or "postgres", parts.path.lstrip("/") or "postgres"
    words = b"\0".join(text.encode() for text in ("user", user, "database", database)) + b"\0\0"
    request = struct.pack("!ii", len(words) + 8, _POSTGRES_PROTOCOL_3) + words
    answer = await _ask(
        parts.hostname or "",
        parts.port or 5432,
        request,
        _is_postgres_message,
        _postgres_tls(url),
        _POSTGRES_SSL_REQUEST,
    )
    if answer[:1] == b"R":
        return True
    return answer[:1] == b"E" and not any(code in answer for code in _POSTGRES_NOT_NOW)


def _is_postgres_message(answer: bytes) -> bool:
    """Tell whether the first message is complete: a letter, then its length without the letter."""
    return len(answer) >= 5 and len(answer) > int.from_bytes(answer[1:5], "big")


async def redis_answers(url: str) -> bool:
    """Tell whether a Redis server takes commands there, also one that wants a password which the URL lacks."""
    parts = urlsplit(url)
    words = [unquote(word).encode() for word in (parts.username, parts.password) if word]
    # Without the password the answer is NOAUTH, also while the server still loads its data and can do nothing.
    login = _redis_command(b"AUTH", *words) if words else b""
    accepted = b"+OK\r\n" if words else b""
    request = login + _redis_command(b"PING")
    answer = await _ask(
        parts.hostname or "", parts.port or 6379, request, _at_least(len(accepted) + 5), _redis_tls(url)
    )
    return answer.startswith((accepted + b"+PONG", b"-NOAU"))


def _redis_command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


async def kafka_answers(servers: str, tls: ssl.SSLContext | None = None) -> bool:
    """Tell whether one of the brokers answers an ApiVersions request."""
    request = struct.pack("!ihhih", 10, 18, 0, 1, -1)
    for server in filter(None, servers.split(",")):
        host, _, port = server.strip().rpartition(":")
        answer = await _ask(host, int(port), request, _at_least(10), tls)
        # The length, our correlation id, and error 0.
        if answer[4:10] == b"\0\0\0\1\0\0":
            return True
    return False


async def http_ok(url: str) -> bool:
    """Tell whether a GET of this URL is answered with 200."""
    return await http_get(url) is not None


async def http_get(url: str, most_bytes: int = 1_000_000) -> bytes | None:
    """Return the body of a 200 answer to a GET, or None where there is no such answer."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    context = ssl.create_default_context() if tls else None
    query = f"?{parts.query}" if parts.query else ""
    # HTTP/1.0: the body comes in one piece and the end of the connection is its end.
    request = f"GET {parts.path or '/'}{query} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode()
    port = parts.port or (443 if tls else 80)
    answer = await _ask(parts.hostname or "", port, request, _at_least(most_bytes), context)
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if head.split(b" ", 2)[1:2] == [b"200"] else None


async def accepts(host: str, port: int) -> bool:
    """Tell whether somebody accepts connections there."""
    try:
        async with asyncio.timeout(_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def _ask(
    host: str,
    port: int,
    request: bytes,
    is_complete: Callable[[bytes], bool],
    tls: ssl.SSLContext | None = None,
    starttls: bytes = b"",
) -> bytes:
    """Return the answer until it is complete or ends, or nothing where that takes longer than a second.

    Where ``starttls`` is given, TLS begins once the server has answered that in plain text.
    """
    try:
        async with asyncio.timeout(_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=None if starttls else tls)
            try:
                if starttls and tls:
                    writer.write(starttls)
                    await reader.readexactly(1)
                    await writer.start_tls(tls, server_hostname=host)
                writer.write(request)
                answer = b""
                while not is_complete(answer) and (more := await reader.read(_READ_BYTES)):
                    answer += more
                return answer
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, EOFError):
        return b""


def _at_least(length: int) -> Callable[[bytes], bool]:
    return lambda answer: len(answer) >= length


# TLS by the parameters of a URL, as the drivers read them.


def _redis_tls(url: str) -> ssl.SSLContext | None:
    """Return the context for a ``rediss://`` URL, None of any other.

    Raises OSError where its files cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return None
    query = dict(parse_qs(parts.query))
    verified = query.get("ssl_cert_reqs", ["required"])[-1] != "none"
    context = _context(query.get("ssl_ca_certs", [""])[-1], verified=verified, check_hostname=verified)
    return _with_certificate(context, query, "ssl_certfile", "ssl_keyfile")


def _postgres_tls(url: str) -> ssl.SSLContext | None:
    """Return the context for a URL that insists on TLS by its ``sslmode``, None of any other. Raises OSError."""
    query = dict(parse_qs(urlsplit(url).query))
    mode = query.get("sslmode", [""])[-1]
    if mode not in ("require", "verify-ca", "verify-full"):
        return None
    context = _context(
        query.get("sslrootcert", [""])[-1], verified=mode != "require", check_hostname=mode == "verify-full"
    )
    return _with_certificate(context, query, "sslcert", "sslkey")


def _context(ca_file: str, *, verified: bool, check_hostname: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    context.check_hostname = check_hostname
    if not verified:
        context.verify_mode = ssl.CERT_NONE
    return context


def _with_certificate(
    context: ssl.SSLContext, query: dict[str, list[str]], certificate: str, key: str
) -> ssl.SSLContext:
    """Add the client's own certificate, where the URL names one."""
    if certificate in query:
        context.load_cert_chain(query[certificate][-1], query.get(key, [None])[-1])
    return context
