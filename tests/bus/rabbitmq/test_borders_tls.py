"""Mutual TLS with EXTERNAL: an agent is who its certificate says, and nobody else gets in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from anyio.from_thread import start_blocking_portal

from bus.conftest import MISSING
from bus.harness import ALLOWED, outgoing, take
from bus.rabbitmq.bordering import CLIENTS, Border, outcomes, random_body
from bus.rabbitmq.certificates import Authority, Issued
from docs.snippets import ROOT, named_blocks
from interlock.bus.errors import BrokerUnavailableError, LoginRefusedError, NotPermittedError
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.private_node import ServerTls
from interlock.bus.rabbitmq import RabbitTransport, definitions
from interlock.bus.rabbitmq.connection import Client

pytestmark = pytest.mark.rabbitmq


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A broker that speaks mutual TLS, and whose certificates it believes."""

    broker: PrivateBroker
    authority: Authority
    stranger: Authority

    def url(self, certificate: Issued | None, *, trusting: Authority | None = None) -> str:
        files = {"certfile": certificate.certificate, "keyfile": certificate.key} if certificate else {}
        return self.broker.tls_url(cafile=(trusting or self.authority).file, auth="EXTERNAL", **files)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    if find_server() is None:
        pytest.fail(MISSING)
    directory = tmp_path_factory.mktemp("encrypted")
    authority, stranger = Authority(directory / "ours"), Authority(directory / "theirs", name="another authority")
    server = authority.issue("broker")
    broker = PrivateBroker(
        directory / "broker",
        definitions=definitions(ALLOWED),
        tls=ServerTls(certificate=server.certificate, key=server.key, authority=authority.file),
    )
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(broker):
        yield Encrypted(broker, authority, stranger)


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    chosen: Client = request.param
    return chosen


async def connect(url: str, client: Client, *, identity: str = "alpha-agent") -> RabbitTransport:
    return await RabbitTransport.connect(url, identity=identity, client=client, timeout=1.0)


async def test_an_agent_publishes_and_consumes_as_the_one_its_certificate_names(
    encrypted: Encrypted, client: Client
) -> None:
    border = Border(encrypted.broker, client=client)
    await border.declare("beta-agent")
    alpha, beta = [
        await connect(encrypted.url(encrypted.authority.issue(name)), client, identity=name)
        for name in ("alpha-agent", "beta-agent")
    ]
    bodies = [random_body(size) for size in (0, 1, 5_000, 131_063, 131_064, 131_065, 1_000_000)] + [
        b"%d" % number for number in range(500)
    ]
    async with beta.consume() as deliveries:
        assert await outcomes(alpha, map(outgoing, bodies)) == [None] * len(bodies)
        received = await take(deliveries, len(bodies))
    assert sorted(delivery.body for delivery in received) == sorted(bodies)
    assert {delivery.sender for delivery in received} == {"alpha-agent"}
    await alpha.aclose()
    await beta.aclose()
    await border.aclose()


async def test_a_broker_whose_authority_is_unknown_is_not_trusted(encrypted: Encrypted, client: Client) -> None:
    url = encrypted.url(encrypted.authority.issue("alpha-agent"), trusting=encrypted.stranger)
    with pytest.raises(BrokerUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
        await connect(url, client)


async def test_who_shows_no_certificate_is_not_let_in(encrypted: Encrypted, client: Client) -> None:
    with pytest.raises(BrokerUnavailableError, match=r"CERTIFICATE_REQUIRED|accept this certificate"):
        await connect(encrypted.url(None), client)


async def test_a_certificate_of_another_authority_is_refused(encrypted: Encrypted, client: Client) -> None:
    with pytest.raises(BrokerUnavailableError, match=r"UNKNOWN_CA|accept this certificate"):
        await connect(encrypted.url(encrypted.stranger.issue("alpha-agent")), client)


async def test_a_name_that_is_no_user_is_refused_at_once(encrypted: Encrypted, client: Client) -> None:
    with pytest.raises(LoginRefusedError, match="certificate"):
        await connect(encrypted.url(encrypted.authority.issue("ghost-agent")), client)


async def test_with_another_agents_certificate_nothing_can_be_sent_or_received_in_ones_own_name(
    encrypted: Encrypted, client: Client
) -> None:
    border = Border(encrypted.broker, client=client)
    await border.declare("alpha-agent", "beta-agent")
    alpha = await connect(encrypted.url(encrypted.authority.issue("beta-agent")), client)
    with pytest.raises(NotPermittedError, match="'beta-agent'"):
        await alpha.publish(outgoing())
    with pytest.raises(NotPermittedError):
        async with alpha.consume():
            pass
    await alpha.aclose()
    await border.aclose()


async def test_the_how_to_is_how_this_broker_is_asked(encrypted: Encrypted) -> None:
    configuration = (encrypted.broker.directory / "rabbitmq.conf").read_text()
    blocks = named_blocks(ROOT / "docs" / "how-to" / "connect-real-systems.md")
    settings = [line for line in blocks["file: rabbitmq.conf"].splitlines() if not line.startswith("listeners")]
    assert [line for line in settings if "file = /" not in line and line not in configuration] == []
    asked = encrypted.url(encrypted.authority.issue("alpha-agent")).partition("?")[2]
    shown = blocks["file: certificates.toml"].strip().strip('"').partition("?")[2]
    assert parse_qs(asked).keys() == parse_qs(shown).keys()


@pytest.mark.parametrize("missing", ["cafile", "certfile"])
async def test_a_file_that_is_not_there_is_said_to_be_missing(
    encrypted: Encrypted, client: Client, missing: str, tmp_path: Path
) -> None:
    issued = encrypted.authority.issue("alpha-agent")
    files = {"cafile": encrypted.authority.file, "certfile": issued.certificate, "keyfile": issued.key}
    url = encrypted.broker.tls_url(**{**files, missing: tmp_path / "absent.pem"}, auth="EXTERNAL")
    with pytest.raises(BrokerUnavailableError, match="No such file"):
        await connect(url, client)
