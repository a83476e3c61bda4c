"""On which addresses the API listens, by its setting."""

import errno
import os
import socket
from typing import Any

import pytest

from backend.api.__main__ import _listening
from backend.stack.ports import is_free
from coffee_core.settings import Settings
from tests.servers import free_port

TCP = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
ABSENT = "192.0.2.7"
"""An address for documentation, which no machine has."""


def _names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, *TCP, (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_an_address_of_a_name_that_this_machine_has_not_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    _names(monkeypatch, ABSENT, "127.0.0.1", "127.0.0.1")
    port = free_port()
    assert is_free(port, "lab")
    (listening,) = _listening(Settings(host="lab", api_port=port))
    with listening:
        assert listening.getsockname() == ("127.0.0.1", port)


def test_where_it_has_none_of_them_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    _names(monkeypatch, ABSENT)
    assert not is_free(8005, "lab")
    with pytest.raises(OSError, match=os.strerror(errno.EADDRNOTAVAIL)):
        _listening(Settings(host="lab"))


def test_a_taken_one_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _names(monkeypatch, "127.0.0.2", "127.0.0.1")
        assert not is_free(port, "lab")
        with pytest.raises(OSError, match="Address already in use"):
            _listening(Settings(host="lab", api_port=port))
