# SPDX-License-Identifier: Apache-2.0
"""The view's server: who may watch, what a slow client gets, and what becomes of clients that misbehave."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from viewing import network, read, watched
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from spikerun import Session
from spikerun.commands.view import server as servers
from spikerun.commands.view.frame import Frames
from spikerun.commands.view.server import CLIENTS, CONNECTIONS, MESSAGE, PERIOD, Server, is_loopback
from spikerun.commands.view.tap import Tap
from spikerun.errors import UsageError


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with watched() as (found, _):
        yield found


def client(server: Server, **options: Any) -> AbstractContextManager[ClientConnection]:
    found: AbstractContextManager[ClientConnection] = connect(f"ws{server.url[4:]}frames", proxy=None, **options)
    return found


@contextmanager
def greeted(server: Server, **options: Any) -> Iterator[ClientConnection]:
    with client(server, **options) as found:
        json.loads(found.recv(timeout=10))
        yield found


def frame(connection: ClientConnection, wish: str = "{}") -> dict[str, Any]:
    connection.send(wish)
    data = connection.recv(timeout=10)
    assert isinstance(data, bytes)
    return read(data)


def fetched(server: Server, path: str = "/", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read().decode()
    connection.close()
    return found


def idle(server: Server) -> bool:
    """Return whether the server has forgotten all clients, after a while."""
    end = time.monotonic() + 10
    while server._clients and time.monotonic() < end:
        time.sleep(0.01)
    return not server._clients


def test_a_client_is_told_what_there_is_and_gets_the_frames_that_it_asks_for(server: Server) -> None:
    with client(server) as connection:
        told = json.loads(connection.recv(timeout=10))
        assert [p["name"] for p in told["populations"]] == ["sensor", "conv", "classes"]
        first, second = frame(connection), frame(connection)
    assert second["number"] == first["number"] + 1 and second["begin"] >= first["end"] > first["begin"]
    assert (first["lag"], first["dropped"], first["late"]) == (1500, 7, 3)


def test_frames_come_at_thirty_a_second_at_most_however_often_they_are_asked_for(server: Server) -> None:
    with greeted(server) as connection:
        begin = time.monotonic()
        for _ in range(4):
            connection.send("{}")
        for _ in range(4):
            connection.recv(timeout=10)
        assert time.monotonic() - begin > 3 * PERIOD


def test_frames_are_rarer_where_they_take_the_stream_long() -> None:
    with watched() as (server, tap), greeted(server) as connection:
        frame(connection)
        tap._worked = iter([0.0, 0.002, 0.0, 0.0]).__next__
        frame(connection)
        begin = time.monotonic()
        frame(connection)
        assert time.monotonic() - begin > 0.3


def test_a_slow_client_gets_what_is_new_then_and_nothing_before_it_asks(server: Server) -> None:
    with greeted(server) as connection:
        first = frame(connection)
        time.sleep(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0)
        second = frame(connection)
    assert second["number"] == first["number"] + 1  # none was made meanwhile
    assert second["seconds"] >= 0.3 and second["events"] > 5 * first["events"] / first["seconds"] * PERIOD


def test_each_of_several_clients_gets_frames(server: Server) -> None:
    with greeted(server) as one, greeted(server) as other:
        numbers = [(frame(one)["number"], frame(other)["number"]) for _ in range(3)]
    assert all(b >= a for a, b in numbers) and numbers[0] < numbers[1] < numbers[2]


def test_a_client_chooses_what_is_shown() -> None:
    with watched() as (server, tap), greeted(server) as connection:
        assert (tap.raster, tap.membranes) == (2, 2)
        frame(connection, '{"raster": 0, "membranes": 1}')
        shown = frame(connection)
        assert (shown["raster"], shown["membranes"], shown["flags"], len(shown["traces"])) == (0, 1, 1, 20)


@pytest.mark.parametrize(
    "message",
    ["", "x", "[]", "null", "1", '{"raster": 3}', '{"raster": -1}', '{"membranes": 0}', '{"raster": true}', "{" * 200,
     '{"raster": 1.0}', '{"raster": [1]}', '{"other": 1}', '{"raster": 1e999}', b"\xff\xfe", b"{}\x00", "[" * MESSAGE,
     '{"raster": ' + "9" * 200 + "}"],
)  # fmt: skip
def test_a_message_that_is_not_understood_ends_the_connection(server: Server, message: str | bytes) -> None:
    with greeted(server) as connection:
        connection.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=10)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
    assert idle(server)


def test_a_message_that_is_too_long_is_not_read(server: Server) -> None:
    with greeted(server) as connection:
        connection.send('{"raster": 1' + " " * MESSAGE + "}")
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=10)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def test_what_is_no_frame_of_a_websocket_ends_the_connection(server: Server) -> None:
    with greeted(server) as connection:
        connection.socket.sendall(bytes(range(256)))
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=10)
    assert idle(server)


def test_viewers_beyond_the_eighth_are_told_so(server: Server) -> None:
    assert idle(server)
    with ExitStack() as stack:
        watching = [stack.enter_context(greeted(server)) for _ in range(CLIENTS)]
        with client(server) as one_more, pytest.raises(ConnectionClosed, match="8 viewers are here already"):
            one_more.recv(timeout=10)
        assert frame(watching[-1])["number"] >= 0
    assert idle(server)


def test_hundreds_of_connections_that_say_nothing_are_closed_and_keep_nobody_out_for_long() -> None:
    with watched() as (server, tap), greeted(server) as connection:
        address = (urlsplit(server.url).hostname, urlsplit(server.url).port)
        silent = [socket.create_connection(address, timeout=10) for _ in range(300)]
        closed = [one for one in silent[CONNECTIONS:] if one.recv(1) == b""]
        assert len(closed) == 300 - CONNECTIONS
        assert frame(connection)["end"] > 0 and tap.watching
        for one in silent:
            one.close()
        end = time.monotonic() + 10
        while time.monotonic() < end:  # until those that hung up are forgotten
            try:
                with greeted(server):
                    break
            except (OSError, ConnectionClosed, InvalidHandshake):
                time.sleep(0.01)
        else:
            pytest.fail("no room")


def test_a_server_ends_at_once_with_clients_that_wait_sleep_or_say_nothing() -> None:
    with ExitStack() as stack:
        with watched() as (server, _):
            asleep, asking = (stack.enter_context(greeted(server)) for _ in range(2))
            silent = socket.create_connection((urlsplit(server.url).hostname, urlsplit(server.url).port))
            stack.enter_context(silent)
            frame(asking)
            begin = time.monotonic()
        assert time.monotonic() - begin < servers.PATIENCE / 2
        for connection in (asleep, asking):
            with pytest.raises(ConnectionClosed, match="the stream has ended"):
                connection.recv(timeout=10)


def test_a_client_that_has_gone_costs_the_stream_nothing_more() -> None:
    with watched() as (server, tap):
        with greeted(server) as connection:
            frame(connection)
            assert tap.watching
        assert idle(server) and not tap.watching


def test_a_client_that_vanishes_while_it_waits_is_forgotten() -> None:
    net = network()
    tap = Tap(Session(net, threads=1).stream(1000))  # nothing is ever pushed
    with Server(tap, Frames(net, 1000), {}, "127.0.0.1", 0) as server, greeted(server) as connection:
        connection.send("{}")
        while not tap.wanted:
            time.sleep(0.01)
        connection.socket.shutdown(socket.SHUT_RDWR)
        assert idle(server) and server._waiting == []


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "file://", "https://localhost:1"],
)
def test_pages_of_strangers_may_not_watch(server: Server, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, client(server, origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_the_page_of_the_server_may_watch(server: Server) -> None:
    with greeted(server, origin=server.url.rstrip("/")) as connection:
        assert frame(connection)["version"] == 1


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "localhost.evil.example", "", "127.0.0.1.nip.io", "0x7f000001",
     "localhost:1;script-src *", "a@localhost", "localhost, evil.example"],
)  # fmt: skip
def test_names_that_are_not_this_machine_s_get_no_page(server: Server, host: str) -> None:
    port = str(urlsplit(server.url).port)
    status, _, body = fetched(server, Host=host.replace("{port}", port))
    assert status == 403 and "<script>" not in body


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:9000", "LOCALHOST:80"])
def test_names_and_addresses_of_this_machine_get_the_page(server: Server, host: str) -> None:
    status, headers, body = fetched(server, Host=host)
    assert status == 200 and body.startswith("<!doctype html>") and "text/html" in headers["Content-Type"]
    assert f"connect-src ws://{host} wss://{host}" in headers["Content-Security-Policy"]


def test_a_request_of_two_hosts_is_refused(server: Server) -> None:
    with socket.create_connection((urlsplit(server.url).hostname, urlsplit(server.url).port), timeout=10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert b" 403 " in raw.recv(100)


def test_the_page_may_load_nothing_else_nor_be_framed(server: Server) -> None:
    _, headers, body = fetched(server)
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert "http://" not in body and "https://" not in body and "innerHTML" not in body


def test_there_is_one_page(server: Server) -> None:
    assert [fetched(server, path)[0] for path in ("/?a=1", "/favicon.ico", "/../page.html", "//x")] == [
        200,
        404,
        404,
        404,
    ]
    assert fetched(server, "/frames")[0] == 426  # no WebSocket


def test_a_port_that_is_taken_is_said_with_what_to_do() -> None:
    with (
        watched() as (server, tap),
        pytest.raises(UsageError, match=r"cannot listen on 127.0.0.1:\d+ \(Address already in use\): .*--port"),
    ):
        Server(tap, server._made, {}, "127.0.0.1", urlsplit(server.url).port or 0).__enter__()


def test_loopback_is_what_nobody_else_reaches() -> None:
    reach = {"127.0.0.1": True, "127.8.8.8": True, "::1": True, "localhost": True, "0.0.0.0": False, "": False,
             "::": False, "192.168.1.5": False, "example.org": False}  # fmt: skip
    assert {host: is_loopback(host) for host in reach} == reach
