"""https: with a certificate of the operator's, and clients that check it."""

import asyncio
import os
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import trustme

from tests.servers import free_port, tail
from tests.waiting import until

CA = trustme.CA()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    certificate = CA.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {"COFFEE_TLS_CERTIFICATE": str(tmp_path / "both.pem")}


def _api(home: Path, **env: str) -> "subprocess.Popen[bytes]":
    with (home / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "backend.api"],
            env={**os.environ, "COFFEE_HOME": str(home), **env},
            stdout=log,
            stderr=log,
        )


async def test_orders_go_by_https_and_the_command_line_checks_the_certificate(
    tmp_path: Path, redis_url: str, files: dict[str, str]
) -> None:
    port = str(free_port())
    process = _api(tmp_path, REDIS_URL=redis_url, COFFEE_PIPELINES="v2", COFFEE_API_PORT=port, **files)
    trusting = ssl.create_default_context()
    CA.configure_trust(trusting)
    url = f"https://localhost:{port}"
    try:
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                assert process.poll() is None, tail(tmp_path / "log")
                try:
                    async with session.get(f"{url}/readyz/v2", ssl=trusting) as answer:
                        return answer.status == 200
                except aiohttp.ClientConnectorError:
                    return False

            await until(ready, 20)
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"{url}/livez", ssl=ssl.create_default_context())
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://localhost:{port}/livez")
        said = await asyncio.to_thread(_order, tmp_path, API_URL=url, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        assert said.returncode == 0, said.stderr
        said = await asyncio.to_thread(_order, tmp_path, API_URL=url)
        assert said.returncode != 0
        assert "certificate verify failed" in said.stderr
    finally:
        process.terminate()
        assert process.wait(10) == 0


async def test_a_handshake_that_does_not_end_is_cut_off_as_slow_headers_are(
    tmp_path: Path, files: dict[str, str]
) -> None:
    port = free_port()
    process = _api(tmp_path, COFFEE_PIPELINES="v2", COFFEE_API_PORT=str(port), **files)
    try:
        await until(lambda: b"startup complete" in (tmp_path / "log").read_bytes(), 20)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01")  # the beginning of a handshake
        async with asyncio.timeout(40):  # the default is a minute
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
    finally:
        process.terminate()
        assert process.wait(10) == 0


def _order(home: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "backend.cli", "order", "v2"],
        env={**os.environ, "COFFEE_HOME": str(home), **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----"])
def test_a_certificate_that_cannot_be_used_is_one_line_and_exit_code_2(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "bad.pem"
    if content is not None:
        file.write_text(content)
    process = _api(tmp_path, COFFEE_TLS_CERTIFICATE=str(file), COFFEE_API_PORT=str(free_port()))
    assert process.wait(30) == 2
    assert (tmp_path / "log").read_text().count("\n") == 1
