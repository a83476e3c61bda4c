"""A relay between a client and a server that are sockets: what it passes on, and each condition of a link."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from backend.stack.relay import WHOLE, Condition, Link, Listener, listen
from coffee_core.tasks import end_tasks
from tests.servers import free_port
from tests.waiting import until

HOST = "127.0.0.1"
SILENT = Condition(blocked=True)


class Peer:
    """A plain socket, without a buffer of its own."""

    def __init__(self, its_socket: socket.socket) -> None:
        its_socket.setblocking(False)
        self.socket = its_socket

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive(self) -> bytes:
        """Return what comes next, nothing at the end. Raises ConnectionResetError."""
        async with asyncio.timeout(30):
            return await asyncio.get_running_loop().sock_recv(self.socket, 65_536)

    async def receive_all(self, length: int) -> bytes:
        received = b""
        while len(received) < length and (more := await self.receive()):
            received += more
        return received

    @property
    def has_something(self) -> bool:
        """Whether data, an end or a reset has arrived."""
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def close(self, *, reset: bool = False) -> None:
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Relayed:
    """A link with a server behind it."""

    def __init__(self, link: Link, port: int, server: socket.socket) -> None:
        self.link = link
        self._port = port
        self._server = server
        self._peers: list[Peer] = []

    async def connect(self) -> Peer:
        """Return the client's side of a new connection."""
        its_socket = socket.socket()
        its_socket.setblocking(False)
        await asyncio.get_running_loop().sock_connect(its_socket, (HOST, self._port))
        self._peers.append(Peer(its_socket))
        return self._peers[-1]

    async def accept(self) -> Peer:
        """Return the server's side of a connection that has come through."""
        async with asyncio.timeout(30):
            its_socket, _ = await asyncio.get_running_loop().sock_accept(self._server)
        self._peers.append(Peer(its_socket))
        return self._peers[-1]

    async def pair(self) -> tuple[Peer, Peer]:
        """Return both sides of a new connection over which a byte has gone each way."""
        client, server = await self.pair_one_way()
        await server.send(b"!")
        assert await client.receive() == b"!"
        return client, server

    async def pair_one_way(self) -> tuple[Peer, Peer]:
        """Return both sides of a new connection over which a byte has gone to the server."""
        client, server = await self.connect(), await self.accept()
        await client.send(b"?")
        assert await server.receive() == b"?"
        return client, server

    def close(self) -> None:
        for peer in self._peers:
            peer.close()


@asynccontextmanager
async def relaying(*, backwards: bool = False) -> AsyncIterator[Relayed]:
    with socket.create_server((HOST, 0)) as server:
        server.setblocking(False)
        link, port = Link("client:server"), free_port()
        relay = await listen(Listener(port, server.getsockname()[1], link, backwards), HOST)
        relayed = Relayed(link, port, server)
        try:
            yield relayed
        finally:
            relayed.close()
            link.put(WHOLE, WHOLE)
            relay.close()
            await until(lambda: not link.connections, 10, "no connection is left in the relay")


async def test_what_is_sent_arrives_in_both_directions_also_a_lot_at_once() -> None:
    async with relaying() as relayed:
        client, server = await relayed.pair()
        data = bytes(range(256)) * 40_000  # more than every buffer on the way
        sending = asyncio.create_task(client.send(data))
        assert await server.receive_all(len(data)) == data
        await sending
        await server.send(b"thanks")
        assert await client.receive() == b"thanks"


async def test_a_half_close_is_one_and_the_other_direction_goes_on() -> None:
    async with relaying() as relayed:
        client, server = await relayed.pair()
        client.socket.shutdown(socket.SHUT_WR)
        assert await server.receive() == b""
        await server.send(b"still here")
        assert await client.receive() == b"still here"
        server.close()
        assert await client.receive() == b""


@pytest.mark.parametrize("who", ["client", "server"])
async def test_a_reset_is_passed_on_as_one(who: str) -> None:
    async with relaying() as relayed:
        client, server = await relayed.pair()
        dying, other = (client, server) if who == "client" else (server, client)
        dying.close(reset=True)
        with pytest.raises(ConnectionResetError):
            await other.receive()


async def test_a_server_that_is_away_resets_its_clients() -> None:
    link, port = Link("client:server"), free_port()
    relay = await listen(Listener(port, free_port(), link), HOST)
    client = socket.create_connection((HOST, port))
    with client, pytest.raises(ConnectionResetError):
        await Peer(client).receive()
    relay.close()
    await until(lambda: not link.connections)


async def test_whoever_does_not_read_holds_up_whoever_writes() -> None:
    async with relaying() as relayed:
        client, server = await relayed.pair()
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await client.send(b"x" * 65_536)
                sent += 65_536

        flooding = asyncio.create_task(flood())
        held: list[int] = []

        def stands_still() -> bool:
            held.append(sent)
            return len(held) > 10 and len(set(held[-10:])) == 1

        await until(stands_still, 30)
        await end_tasks(flooding)
        assert await server.receive_all(sent)


async def test_a_delay_is_that_of_a_round_trip_and_of_a_handshake() -> None:
    async with relaying() as relayed:
        slow = Condition(delay_s=0.1)
        relayed.link.put(slow, slow)
        began = time.monotonic()
        client, server = await relayed.connect(), await relayed.accept()
        assert time.monotonic() - began >= 0.2, "the handshake is a round trip"
        began = time.monotonic()
        await client.send(b"?")
        assert await server.receive() == b"?"
        await server.send(b"!")
        assert await client.receive() == b"!"
        assert time.monotonic() - began >= 0.2


async def test_jitter_lets_nothing_overtake() -> None:
    async with relaying() as relayed:
        client, server = await relayed.pair()
        relayed.link.put(Condition(jitter_s=0.02), WHOLE)
        sent = b"".join(number.to_bytes(2) for number in range(200))
        for start in range(0, len(sent), 2):
            await client.send(sent[start : start + 2])
            await asyncio.sleep(0)
        assert await server.receive_all(len(sent)) == sent


async def test_a_narrow_link_is_shared_by_its_connections() -> None:
    async with relaying() as relayed:
        pairs = [await relayed.pair(), await relayed.pair()]
        relayed.link.put(Condition(bytes_per_s=100_000), WHOLE)
        began = time.monotonic()
        for client, _ in pairs:
            await client.send(b"x" * 10_000)
        for _, server in pairs:
            assert len(await server.receive_all(10_000)) == 10_000
        # The last piece is through once it was sent: its own time does not count.
        assert time.monotonic() - began >= 0.18


async def test_in_a_black_hole_nothing_arrives_and_afterwards_all_of_it() -> None:
    async with relaying() as relayed:
        client, server = await relayed.pair()
        relayed.link.put(SILENT, SILENT)
        await client.send(b"to the server")
        await server.send(b"to the client")
        other, other_server = await control(relayed)
        await other.send(b"later")
        assert await other_server.receive() == b"later"
        assert (server.has_something, client.has_something) == (False, False)
        relayed.link.put(WHOLE, WHOLE)
        assert await server.receive() == b"to the server"
        assert await client.receive() == b"to the client"
        other.close()
        other_server.close()


async def control(relayed: Relayed) -> tuple[Peer, Peer]:
    """Return a pair over a link of its own: what goes through it has had the time that others had."""
    with socket.create_server((HOST, 0)) as server:
        port = free_port()
        relay = await listen(Listener(port, server.getsockname()[1], Link("another")), HOST)
        client = socket.create_connection((HOST, port))
        accepted, _ = await asyncio.to_thread(server.accept)
        relay.close()
    return Peer(client), Peer(accepted)


async def test_what_was_sent_before_its_sender_gave_up_arrives_after_a_black_hole() -> None:
    async with relaying() as relayed:
        client, server = await relayed.pair()
        relayed.link.put(SILENT, SILENT)
        await client.send(b"COMMIT")
        client.close()
        relayed.link.put(WHOLE, WHOLE)
        assert await server.receive() == b"COMMIT"
        assert await server.receive() == b""


async def test_answers_to_a_client_that_has_given_up_go_nowhere_and_harm_nobody() -> None:
    async with relaying() as relayed:
        client, server = await relayed.pair()
        relayed.link.put(WHOLE, SILENT)
        for _ in range(50):
            await server.send(b"answer")
            await asyncio.sleep(0)
        client.close()
        assert await server.receive() == b""
        server.close()
        await relayed.pair_one_way()
        relayed.link.put(WHOLE, WHOLE)
        await until(lambda: len(relayed.link.connections) == 1)
        await relayed.pair()


async def test_nobody_hears_of_a_connection_that_was_given_up_in_a_black_hole() -> None:
    async with relaying() as relayed:
        relayed.link.put(SILENT, SILENT)
        given_up = await relayed.connect()
        await given_up.send(b"never")
        await until(lambda: len(relayed.link.connections) == 1)
        given_up.close()
        relayed.link.put(SILENT, SILENT)
        patient = await relayed.connect()
        await patient.send(b"at last")
        await until(lambda: len(relayed.link.connections) == 2)
        relayed.link.put(WHOLE, WHOLE)
        server = await relayed.accept()
        assert await server.receive() == b"at last"
        await until(lambda: len(relayed.link.connections) == 1)


@pytest.mark.parametrize("backwards", [False, True])
async def test_one_way_requests_arrive_and_answers_do_not(backwards: bool) -> None:
    async with relaying(backwards=backwards) as relayed:
        dialled, taken = await relayed.pair()
        client, server = (taken, dialled) if backwards else (dialled, taken)
        relayed.link.put(WHOLE, SILENT)
        await server.send(b"answer")
        await client.send(b"request")
        assert await server.receive() == b"request"
        assert not client.has_something
        relayed.link.put(WHOLE, WHOLE)
        assert await client.receive() == b"answer"


async def test_all_connections_are_reset_at_both_ends() -> None:
    async with relaying() as relayed:
        pairs = [await relayed.pair(), await relayed.pair()]
        assert relayed.link.reset() == 2
        for pair in pairs:
            for peer in pair:
                with pytest.raises(ConnectionResetError):
                    await peer.receive()
        await relayed.pair()


async def test_of_a_slow_close_the_server_hears_when_it_is_over() -> None:
    async with relaying() as relayed:
        client, server = await relayed.pair()
        relayed.link.put(Condition(closes_late=True), WHOLE)
        assert relayed.link.end_clients() == 1
        assert await client.receive() == b""
        again, its_server = await relayed.pair()  # meanwhile a new one is as good as ever
        assert not server.has_something
        again.close(reset=True)
        relayed.link.put(WHOLE, WHOLE)
        assert await server.receive() == b""
        with pytest.raises(ConnectionResetError):
            await its_server.receive()
