"""Certificates of the loopback and of a client, by an authority that is made for one test."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True)
class Certificate:
    """What a server shows, what its clients trust, and what they show where it asks them to."""

    authority: Path
    """PEM file of the authority."""
    keystore: Path
    """PEM file of the server's private key (PKCS #8, which Java wants) and the chain."""
    context: ssl.SSLContext
    """The server's side, for Python."""
    client_certificate: Path
    """PEM file of a client's chain."""
    client_key: Path
    """PEM file of its private key (PKCS #8)."""
    client_keystore: Path
    """PEM file of both."""
    mutual: bool
    """The server turns away whoever shows nothing of this authority."""


def certificate(folder: Path, *names: str, mutual: bool = False) -> Certificate:
    """Make them for a server of these names."""
    authority = trustme.CA()
    trusted = folder / "authority.pem"
    authority.cert_pem.write_to_path(trusted)
    server = authority.issue_cert(*names)
    # RSA: of PEM files the JDBC driver reads no other kind unless it is told to.
    client = authority.issue_cert("coffee@example.org", key_type=trustme.KeyType.RSA)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.configure_cert(context)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    key, chain = _key(client), _chain(client)
    return Certificate(
        authority=trusted,
        keystore=_file(folder / "server.pem", _key(server) + _chain(server)),
        context=context,
        client_certificate=_file(folder / "client-certificate.pem", chain),
        client_key=_file(folder / "client-key.pem", key),
        client_keystore=_file(folder / "client.pem", key + chain),
        mutual=mutual,
    )


def _key(issued: trustme.LeafCert) -> bytes:
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _chain(issued: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in issued.cert_chain_pems)


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path
