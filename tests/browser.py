"""A headless Chromium, offline, driven by its DevTools protocol: what a page asks for, says and looks like.

It needs a browser on the machine (``chromium`` or one of its names); where there is none, the tests say so.
"""

import asyncio
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.waiting import until

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_ENDS_WITHIN_S = 10
PHONE, DESK = 360, 1280
"""Widths of a window in CSS pixels."""


class Browser:
    """One tab: asks the page, and remembers what it requested and complained about."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.requests: list[str] = []
        """URL of each request since the page was opened, the page itself among them."""
        self.complaints: list[str] = []
        """Errors and warnings of the console, and exceptions."""

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result. Raises AssertionError where it fails."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = json.loads((await self._socket.receive(timeout=60)).data)
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    async def open(self, path: Path, *, dark: bool, width: int) -> None:
        """Open a file from the disk without a network, in a theme and a width."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        await self.send(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=width == PHONE,
        )
        self.requests.clear()
        self.complaints.clear()
        await self.send("Page.navigate", url=path.as_uri())
        await until(lambda: self.ask(f"document.readyState == 'complete' && location.href == '{path.as_uri()}'"))

    async def ask(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript, awaited where it is a promise."""
        answer = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, f"{expression[:80]}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    async def press(self, key: str) -> None:
        """Press a key, named as a browser does."""
        text = {"text": key} if len(key) == 1 else {}
        await self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def faults(self) -> list[str]:
        """Return what axe-core finds serious or critical, the contrast of AA among its rules."""
        await self.ask((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8") + "; 0")
        found = await self.ask("axe.run({resultTypes: ['violations']}).then(it => JSON.stringify(it.violations))")
        return [
            f"{each['id']}: {node['html'][:160]}: {node.get('failureSummary', '')}"
            for each in json.loads(found)
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))


@asynccontextmanager
async def open_browser(folder: Path) -> AsyncIterator[Browser]:
    """Start a browser with its profile in a folder; skip the test where the machine has none."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser on this machine: {', '.join(_NAMES)}")
    process = await asyncio.create_subprocess_exec(
        program,
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run"),
        *(f"--user-data-dir={folder}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port_file = folder / "DevToolsActivePort"
        await until(
            lambda: port_file.exists() and len(port_file.read_text().split()) > 1, what="the browser is up"
        )
        port = port_file.read_text().split()[0]
        async with aiohttp.ClientSession() as session:

            async def tabs() -> list[str]:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    return [tab["webSocketDebuggerUrl"] for tab in await answer.json() if tab["type"] == "page"]

            async with session.ws_connect((await until(tabs))[0], max_msg_size=0) as socket:
                yield Browser(socket)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _ENDS_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()
