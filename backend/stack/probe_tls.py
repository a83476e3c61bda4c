"""TLS of a question to a server, by the parameters of its URL, as the drivers read them."""

import ssl
from urllib.parse import parse_qs, urlsplit


def redis_tls(url: str) -> ssl.SSLContext | None:
    """Return the context for a ``rediss://`` URL, None of any other.

    Raises OSError where its files cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return None
    query = dict(parse_qs(parts.query))
    verified = query.get("ssl_cert_reqs", ["required"])[-1] != "none"
    context = _context(query.get("ssl_ca_certs", [""])[-1], verified=verified, named=verified)
    return _with_certificate(context, query, "ssl_certfile", "ssl_keyfile")


def postgres_tls(url: str) -> ssl.SSLContext | None:
    """Return the context for a URL that insists on TLS by its ``sslmode``, None of any other. Raises OSError."""
    query = dict(parse_qs(urlsplit(url).query))
    mode = query.get("sslmode", [""])[-1]
    if mode not in ("require", "verify-ca", "verify-full"):
        return None
    named = mode == "verify-full"
    context = _context(query.get("sslrootcert", [""])[-1], verified=mode != "require", named=named)
    return _with_certificate(context, query, "sslcert", "sslkey")


def _with_certificate(
    context: ssl.SSLContext, query: dict[str, list[str]], certificate: str, key: str
) -> ssl.SSLContext:
    """Add the client's own certificate, where the URL names one."""
    if certificate in query:
        context.load_cert_chain(query[certificate][-1], query.get(key, [None])[-1])
    return context


def _context(authority: str, *, verified: bool, named: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority or None)
    context.check_hostname = named
    if not verified:
        context.verify_mode = ssl.CERT_NONE
    return context
