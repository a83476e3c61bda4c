"""TLS of a question to a server, by the parameters of its URL, as the drivers read them."""

import ssl
from urllib.parse import parse_qs, urlsplit


def redis_tls(url: str) -> ssl.SSLContext | None:
    """Return the context for a ``rediss://`` URL, None of any other.

    Raises OSError where its CA file cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return None
    query = dict(parse_qs(parts.query))
    verified = query.get("ssl_cert_reqs", ["required"])[-1] != "none"
    return _context(query.get("ssl_ca_certs", [""])[-1], verified=verified, named=verified)


def postgres_tls(url: str) -> ssl.SSLContext | None:
    """Return the context for a URL that insists on TLS by its ``sslmode``, None of any other. Raises OSError."""
    query = dict(parse_qs(urlsplit(url).query))
    mode = query.get("sslmode", [""])[-1]
    if mode not in ("require", "verify-ca", "verify-full"):
        return None
    return _context(query.get("sslrootcert", [""])[-1], verified=mode != "require", named=mode == "verify-full")


def _context(authority: str, *, verified: bool, named: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority or None)
    context.check_hostname = named
    if not verified:
        context.verify_mode = ssl.CERT_NONE
    return context
