"""Quick probes of a server, on the bare protocol: whether it answers, with TLS where its URL asks for it.

Not by the drivers, although they are installed: in a wrapper, which is a process a part under honcho and otherwise
holds 14 MB of its own, importing redis.asyncio costs 16 MB and 330 ms of processor time, aiokafka 7 MB and 150 ms,
asyncpg 4 MB and 65 ms; in the supervisor all three together 19 MB and 550 ms, in the midst of a start. And a probe
here ends before the login: PostgreSQL need not compute SCRAM every second.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable, Mapping

from coffee_core.server_urls import Endpoint, HttpUrl, PostgresUrl, RedisUrl, parse_endpoints

_WITHIN_S = 1.0
_READ_BYTES = 65_536
_POSTGRES_PROTOCOL_3 = 196_608
_POSTGRES_SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)
_POSTGRES_NOT_NOW = (b"C57P03", b"C53300")  # starting up or shutting down; too many connections


async def postgres_answers(url: str) -> bool:
    """Tell whether one of a URL's servers takes sessions (also one that wants a password or TLS first)."""
    to = PostgresUrl.parse(url)
    words = b"\0".join(text.encode() for text in ("user", to.user, "database", to.database)) + b"\0\0"
    request = struct.pack("!ii", len(words) + 8, _POSTGRES_PROTOCOL_3) + words
    starttls = b"" if to.parameters.get("sslnegotiation") == "direct" else _POSTGRES_SSL_REQUEST
    for server in to.endpoints:
        path = server.socket_path
        tls = None if path else to.tls_context()
        answer = await _ask(server, request, _is_postgres_message, tls, starttls, path)
        if answer[:1] == b"R" or (answer[:1] == b"E" and not any(code in answer for code in _POSTGRES_NOT_NOW)):
            return True
    return False


def _is_postgres_message(answer: bytes) -> bool:
    """Tell whether the first message is complete: a letter, then its length without the letter."""
    return len(answer) >= 5 and len(answer) > int.from_bytes(answer[1:5], "big")


async def redis_answers(url: str) -> bool:
    """Tell whether a Redis server takes commands there, also one that wants a password which the URL lacks."""
    to = RedisUrl.parse(url)
    # With a user and no password redis-py sends an empty one.
    words = [word.encode() for word in (to.user, to.password)] if to.user else [to.password.encode()]
    words = words if to.user or to.password else []
    # Without the password the answer is NOAUTH, also while the server still loads its data and can do nothing.
    login = _redis_command(b"AUTH", *words) if words else b""
    accepted = b"+OK\r\n" if words else b""
    request = login + _redis_command(b"PING")
    answer = await _ask(to.endpoint, request, _at_least(len(accepted) + 5), to.tls_context(), socket_path=to.path)
    return answer.startswith((accepted + b"+PONG", b"-NOAU"))


def _redis_command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


async def kafka_answers(servers: str, tls: ssl.SSLContext | None = None) -> bool:
    """Tell whether one of the brokers answers an ApiVersions request."""
    request = struct.pack("!ihhih", 10, 18, 0, 1, -1)
    for server in parse_endpoints(servers):
        answer = await _ask(server, request, _at_least(10), tls)
        # The length, our correlation id, and error 0.
        if answer[4:10] == b"\0\0\0\1\0\0":
            return True
    return False


async def http_ok(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Tell whether a GET of this URL is answered with 200."""
    return await http_get(url, headers=headers) is not None


async def http_get(
    url: str, most_bytes: int = 1_000_000, headers: Mapping[str, str] | None = None
) -> bytes | None:
    """Return the body of a 200 answer to a GET, or None where there is no such answer."""
    base, _, query = url.partition("?")
    to = HttpUrl.parse(base)
    context = ssl.create_default_context() if to.scheme == "https" else None
    # HTTP/1.0: the body comes in one piece and the end of the connection is its end.
    lines = [f"GET {to.path or '/'}{query and f'?{query}'} HTTP/1.0", f"Host: {to.host}"]
    lines += [f"{name}: {value}" for name, value in {**to.authorization, **(headers or {})}.items()]
    request = "\r\n".join([*lines, "", ""]).encode()
    answer = await _ask(to.endpoint, request, _at_least(most_bytes), context)
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
    server: Endpoint,
    request: bytes,
    is_complete: Callable[[bytes], bool],
    tls: ssl.SSLContext | None = None,
    starttls: bytes = b"",
    socket_path: str = "",
) -> bytes:
    """Return the answer until it is complete or ends, or nothing where that takes longer than a second.

    Where ``starttls`` is given, TLS begins once the server has answered that in plain text. Where ``socket_path``
    is given, the server is asked there.
    """
    try:
        async with asyncio.timeout(_WITHIN_S):
            if socket_path:
                reader, writer = await asyncio.open_unix_connection(socket_path)
            else:
                reader, writer = await asyncio.open_connection(
                    server.host, server.port, ssl=None if starttls else tls
                )
            try:
                if starttls and tls:
                    writer.write(starttls)
                    await reader.readexactly(1)
                    await writer.start_tls(tls, server_hostname=server.host)
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
