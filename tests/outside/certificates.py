"""A certificate of the loopback, by an authority that is made for one test."""

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
    """What a server shows, and what its clients trust."""

    authority: Path
    """PEM file of the authority."""
    keystore: Path
    """PEM file of the private key (PKCS #8, which Java wants) and the chain."""
    context: ssl.SSLContext
    """The server's side, for Python."""


def certificate(folder: Path, *names: str) -> Certificate:
    """Make one for these names."""
    made = trustme.CA()
    issued = made.issue_cert(*names)
    authority, keystore = folder / "authority.pem", folder / "server.pem"
    made.cert_pem.write_to_path(authority)
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    keystore.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(context)
    return Certificate(authority, keystore, context)
