# SPDX-License-Identifier: Apache-2.0
"""The view's server: one page, and a WebSocket that answers each message with the next frame.

It has a thread of its own. A client that does not ask gets nothing, so nothing queues up, and what a slow one is sent
is what is new when it asks. Pages of strangers are kept out by the Host header, which must be an address or a name of
this machine (against DNS rebinding), and by Origin, which must be that host (against hijacking of the WebSocket).
"""

import asyncio
import base64
import hashlib
import ipaddress
import json
import logging
import os
import re
import socket
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikerun.commands.view.frame import Frames, Seen
from spikerun.commands.view.tap import Tap
from spikerun.errors import UsageError

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

__all__ = ["CLIENTS", "CONNECTIONS", "MESSAGE", "PERIOD", "Server", "is_loopback"]

CLIENTS = 8  # that may watch
CONNECTIONS = 64  # that may be open, with those that have not said yet what they want
MESSAGE = 256  # bytes of a message from a client
PERIOD = 1 / 30  # seconds from a frame to the next, at least
PATIENCE = 5.0  # seconds for a request to come
SWITCH = 1e-5  # seconds after which Python takes the server's thread off, so that the stream waits no longer for it
PAGE = Path(__file__).with_name("page.html")
HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)

log = logging.getLogger(__name__)
log.setLevel(logging.WARNING)  # the library tells it each byte


class Server:
    """Serves what a tap sees while it is entered (`with`); `url` is then where.

    made: makes the frames; about: what the page is told of the stream, JSON. While it is entered, threads give way to
    each other sooner. Entering raises UsageError where the address cannot be had, and ModuleNotFoundError without the
    package websockets.
    """

    def __init__(self, tap: Tap, made: Frames, about: dict[str, Any], host: str, port: int) -> None:
        self.viewer = threading.Event()  # somebody has come to watch
        self.url = ""
        self.visits = self.frames = 0  # clients that came, and frames that they were sent
        self._tap, self._made, self._about, self._host, self._port = tap, made, json.dumps(about), host, port
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="view", daemon=True)
        self._bound: Future[int] = Future()
        self._waiting: list[asyncio.Future[bytes | None]] = []
        self._clients = 0
        self._due = 0.0  # when the next frame may be made, by the loop's clock
        self._reason = ""

    def __enter__(self) -> "Server":
        import websockets.asyncio.server  # noqa: F401  # what lacks is said here, not by the thread

        self._page, self._policy = _page()
        self._thread.start()
        port = self._bound.result()
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        name = socket.gethostname() if self._host in ("", "0.0.0.0", "::") else self._host
        self.url = f"http://{f'[{name}]' if ':' in name else name}:{port}/"
        self._tap.handed = self._take
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._reason = "the stream has ended" if kind is None else "the stream was stopped"
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._tap.watching = False
        sys.setswitchinterval(self._interval)

    def _take(self, seen: Seen) -> None:
        """Take what is to be shown; the stream's thread calls this."""
        self._loop.call_soon_threadsafe(self._deliver, seen)

    def _deliver(self, seen: Seen) -> None:
        self._due = self._loop.time() + max(PERIOD, self._tap.pause)
        data = self._made.make(seen)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.set_result(data)

    async def _serve(self) -> None:
        from websockets.asyncio.server import serve

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        connections: set[ServerConnection] = set()
        try:
            server = await serve(
                self._client, self._host or None, self._port, process_request=self._answer, compression=None,
                server_header=None, open_timeout=PATIENCE, close_timeout=1, max_size=MESSAGE, max_queue=4, logger=log,
                create_connection=_limited(connections),
            )  # fmt: skip
        except OSError as error:
            named = isinstance(error, socket.gaierror) or error.errno is None
            why = error.strerror if named else os.strerror(error.errno or 0)  # asyncio's own says the address once more
            what = f"cannot listen on {self._host}:{self._port} ({why})"
            return self._bound.set_exception(UsageError(f"{what}: choose another --port, or 0 for any, or --host"))
        except Exception as error:  # whoever enters waits for an answer
            return self._bound.set_exception(error)
        self._bound.set_result(next(iter(server.sockets)).getsockname()[1])
        await self._stop.wait()
        server.close(reason=self._reason)
        for connection in list(connections):
            if connection.state.name == "CONNECTING":
                connection.transport.abort()
        await server.wait_closed()

    async def _client(self, connection: "ServerConnection") -> None:
        """Send a frame for each message, until the client has gone."""
        from websockets.exceptions import ConnectionClosed

        if self._clients >= CLIENTS:
            await connection.close(1013, f"{CLIENTS} viewers are here already")
            return
        self._clients, self.visits = self._clients + 1, self.visits + 1
        self._tap.watching = True
        self.viewer.set()
        gone = asyncio.ensure_future(connection.wait_closed())
        try:
            with suppress(ConnectionClosed):  # nobody is left to tell
                await connection.send(self._about)
                async for message in connection:
                    if not self._choose(message):
                        await connection.close(1008, "not understood")
                        break
                    data = await self._next(gone)
                    if data is not None:
                        self.frames += 1
                        await connection.send(data)
        finally:
            gone.cancel()
            self._clients -= 1
            self._tap.watching = self._clients > 0

    async def _next(self, gone: "asyncio.Future[None]") -> bytes | None:
        """Wait for the next frame; None if the client goes before."""
        await asyncio.sleep(self._due - self._loop.time())
        waiting: asyncio.Future[bytes | None] = self._loop.create_future()

        def over(_: object) -> None:
            if not waiting.done():
                self._waiting.remove(waiting)
                waiting.set_result(None)

        gone.add_done_callback(over)
        self._waiting.append(waiting)
        self._tap.wanted = True
        data = await waiting
        gone.remove_done_callback(over)
        return data

    def _choose(self, message: str | bytes) -> bool:
        """Take a message, `{"raster": 3, "membranes": 4}` with both or none of them; False if it is something else."""
        try:
            wish = json.loads(message)
        except (ValueError, RecursionError):
            return False
        may = {"raster": self._tap.can_raster, "membranes": self._tap.can_trace}
        if not isinstance(wish, dict) or not wish.keys() <= may.keys():
            return False
        numbers = range(len(self._tap.names))
        if not all(type(k) is int and k in numbers and may[name](k) for name, k in wish.items()):
            return False
        for name, k in wish.items():
            setattr(self._tap, name, k)
        return True

    def _answer(self, connection: "ServerConnection", request: "Request") -> "Response | None":
        """Return the page, or a refusal; None where a WebSocket may be opened."""
        hosts, origins = request.headers.get_all("Host"), request.headers.get_all("Origin")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return connection.respond(403, "Open the address that spikerun view has printed.\n")
        path = request.path.partition("?")[0]
        if path == "/frames":
            if origins and origins not in ([f"http://{hosts[0]}"], [f"https://{hosts[0]}"]):
                return connection.respond(403, "Only the page of this server may watch.\n")
            return None
        if path != "/":
            return connection.respond(404, "There is one page: /\n")
        response = connection.respond(200, self._page)
        response.headers.update({
            "Content-Security-Policy": f"{self._policy}; connect-src ws://{hosts[0]} wss://{hosts[0]}",
            "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
        })  # fmt: skip
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "text/html; charset=utf-8"
        return response

    def _is_ours(self, host: str) -> bool:
        """Return whether a Host header names this machine: by an address, which nobody can rebind, or a name of it."""
        found = HOST.fullmatch(host)
        if not found:
            return False
        name = found["name"].strip("[]").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in (
                "localhost",
                self._host.lower(),
                *([] if is_loopback(self._host) else [socket.gethostname().lower()]),
            )
        return True


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _page() -> tuple[str, str]:
    """Return the page, and the policy by which nothing runs but what is in it."""
    text = PAGE.read_text(encoding="utf-8")
    digests = {}
    for name in ("script", "style"):
        (body,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digests[name] = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    parts = ["default-src 'none'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return text, "; ".join(parts + [f"{name}-src 'sha256-{digest}'" for name, digest in digests.items()])


def _limited(connections: "set[ServerConnection]") -> "type[ServerConnection]":
    """Return the class of connections that are kept in a set, and closed where that is full."""
    from websockets.asyncio.server import ServerConnection

    class Limited(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            if len(connections) >= CONNECTIONS:
                self.transport.abort()
            else:
                connections.add(self)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.discard(self)
            super().connection_lost(exc)

    return Limited
