# SPDX-License-Identifier: Apache-2.0
"""A headless browser for tests: its page is opened, asked in JavaScript, and looked at, by the DevTools protocol."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

__all__ = ["Page", "opened", "program"]

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
           "--no-proxy-server", "--remote-debugging-port=0", "--window-size=1200,900")  # fmt: skip
PATIENCE = 30.0  # seconds


def program() -> str:
    """Return the browser; without one the test is skipped."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no browser: apt-get install chromium")
    return found


class Page:
    """A page of the browser. errors: what its console and its scripts complained of."""

    def __init__(self, tools: ClientConnection) -> None:
        self.errors: list[str] = []
        self._tools, self._number = tools, 0
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a call of the protocol."""
        self._number += 1
        self._tools.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._tools.recv(timeout=PATIENCE))
            if message.get("id") == self._number:
                assert "error" not in message, message
                found: dict[str, Any] = message["result"]
                return found
            self._hear(message)

    def open(self, url: str) -> None:
        self.ask("Page.navigate", url=url)
        self.until(f"location.href == {json.dumps(url)} && document.readyState == 'complete'")

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression, or of the promise that it is."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str) -> Any:
        """Return the value of an expression once it is true."""
        end = time.monotonic() + PATIENCE
        while not (value := self.evaluate(script)):
            assert time.monotonic() < end, f"never: {script}; {self.errors}"
            time.sleep(0.02)
        return value

    def picture(self) -> bytes:
        """Return what the page looks like, a PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot")["data"])

    def _hear(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        entry = parameters.get("entry", {})
        if message.get("method") == "Runtime.exceptionThrown" or parameters.get("type") in ("error", "assert"):
            self.errors.append(json.dumps(parameters))
        elif entry.get("level") == "error":
            self.errors.append(f"{entry.get('text')} {entry.get('url', '')}")


@contextmanager
def opened(folder: Path, *options: str) -> Iterator[Page]:
    """Start a browser whose profile is in a folder, and yield a page of it."""
    profile = folder / "profile"
    command = [program(), *OPTIONS, *options, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with connect(_address(profile / "DevToolsActivePort"), max_size=None) as tools:
                yield Page(tools)
        finally:
            process.terminate()


def _address(file: Path) -> str:
    """Return where the protocol of the one page is spoken."""
    end = time.monotonic() + PATIENCE
    while not (file.exists() and file.read_text().count("\n")):
        assert time.monotonic() < end, "the browser did not start"
        time.sleep(0.02)
    with urlopen(f"http://127.0.0.1:{file.read_text().split()[0]}/json/list", timeout=PATIENCE) as answer:
        pages = [page for page in json.load(answer) if page["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])
