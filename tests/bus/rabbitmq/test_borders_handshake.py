"""Something else at the other end than a broker: an error that says so, within the timeout."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

from bus.rabbitmq.bordering import CLIENTS
from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.rabbitmq import RabbitTransport
from interlock.bus.rabbitmq.connection import Client


@asynccontextmanager
async def serving(answer: bytes, *, closes: bool) -> AsyncGenerator[int]:
    """Answer the first bytes of every connection with these; yields the port."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(OSError):
            await reader.read(8)
            writer.write(answer)
            await writer.drain()
            if not closes:
                await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await anyio.wait_all_tasks_blocked()  # also those for connections that were accepted a moment ago
        for writer in writers:
            writer.transport.abort()
        await anyio.wait_all_tasks_blocked()


HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request"


ENDED, SILENT, OTHER = "port of a broker", "not answered yet", "another version of AMQP"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("answer", "closes", "why"),
    [
        pytest.param(HTTP, True, ENDED, id="HTTP"),
        pytest.param(b"AMQP\x00\x00\x09\x01", True, OTHER, id="AMQP 0-9-1 as a refusal"),
        pytest.param(b"AMQP\x03\x01\x00\x00", False, OTHER, id="AMQP 1.0, staying"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x0a", True, ENDED, id="TLS"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1\r\n", False, SILENT, id="SSH"),
        pytest.param(b"\x01\x00\x00\x7f\xff\xff\xff", False, SILENT, id="a frame of two gibibytes"),
        pytest.param(bytes(64), False, "ended the handshake", id="zeros"),
        pytest.param(b"", True, ENDED, id="nothing and the end"),
        pytest.param(b"", False, SILENT, id="nothing"),
    ],
)
async def test_what_is_no_broker_is_reported_in_time(client: Client, answer: bytes, closes: bool, why: str) -> None:
    started = time.monotonic()
    async with serving(answer, closes=closes) as port:
        url = f"amqp://alpha-agent:s3cret@127.0.0.1:{port}/interlock"
        with pytest.raises(BrokerUnavailableError) as unavailable:
            await RabbitTransport.connect(url, identity="alpha-agent", client=client, timeout=0.4)
    text = str(unavailable.value)
    assert f"127.0.0.1:{port}" in text
    assert why in text
    assert "s3cret" not in text
    assert time.monotonic() - started < 3.0
