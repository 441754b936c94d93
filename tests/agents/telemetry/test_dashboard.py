"""Every panel of the dashboard shows something: its query is answered by a real Prometheus that scrapes an agent."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agents.at_work import AGENT, CATALOGUE, Answer, Note, Question, Workplace, workplace
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.systems.outside import calling
from interlock.agents.telemetry.opening import open_telemetry
from interlock.agents.telemetry.settings import HealthSettings, TelemetrySettings
from interlock.agents.telemetry.standing import Standing
from interlock.agents.telemetry.watching import watched
from interlock.bus.private_process import PrivateProcess, free_port
from interlock.bus.store.records import Commit, WorkflowRow
from interlock.protocol.errors import PermanentError, TransientError
from interlock.protocol.ids import new_id

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "deploy" / "grafana" / "interlock-bus.json").read_text(encoding="utf-8")
)
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
COLUMNS = 24


def queries() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]


def test_it_can_be_found_again_and_asks_the_data_source_that_is_chosen() -> None:
    assert DASHBOARD["uid"] == "interlock-bus"
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "agent"]
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["description"]
        for target in panel["targets"]:
            assert 'agent=~"$agent"' in target["expr"], "a panel follows the choice of agents"


def test_its_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.fixture
def library() -> Agent:
    agent = Agent(AGENT, catalogue=CATALOGUE)

    @agent.on
    async def answer(question: Question, context: Context) -> Answer:
        with calling("shelf", "look"):
            if question.text == "later" and context.attempt == 1:
                raise TransientError("the shelf is locked; try again")
        if question.text == "never":
            raise PermanentError("there is no such book")
        return Answer(text=question.text)

    return agent


@asynccontextmanager
async def scraped(place: Workplace, directory: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """Run the agent, and a Prometheus that scrapes it every second; yield a client of that."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.fail("no prometheus: `make setup` installs it")
    transport = place.broker.connect(AGENT)
    async with (
        open_telemetry(
            TelemetrySettings(metrics="prometheus"), agent=AGENT, version="1", system="memory", clock=place.clock
        ) as opened,
        place.running(telemetry=opened.telemetry, transport=transport) as (runtime, store),
        watched(
            [Standing(AGENT, runtime, transport, store, opened.telemetry)],
            [opened],
            settings=HealthSettings(listen="127.0.0.1:0"),
            clock=place.clock,
        ) as server,
    ):
        assert server is not None
        loan = WorkflowRow(new_id(), "loan", 1, "lent", ended=False, state=b"{}", updated_at=place.clock.now())
        await store.commit(Commit(workflow=loan))
        (directory / "prometheus.yaml").write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: interlock\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{server.port}']}}]\n"
        )
        port = free_port()
        prometheus = await PrivateProcess.start(
            [
                program,
                f"--config.file={directory / 'prometheus.yaml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            environment=os.environ,
            directory=directory,
            console=directory / "prometheus.log",
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                yield client
        finally:
            with anyio.CancelScope(shield=True):
                await prometheus.stop(timeout=10)


@pytest.mark.slow
async def test_every_query_is_answered(library: Agent, tmp_path: Path) -> None:
    async with workplace(library, tmp_path) as place, scraped(place, tmp_path) as client:
        open_queries = dict(queries())
        with anyio.move_on_after(90):
            while open_queries:
                for text in ("now", "later", "never"):
                    await place.say(Question(text=text))
                await place.say(Note(text="hello"), type="question")  # routed as what it is not: parked
                await anyio.sleep(0.5)
                for name, query in tuple(open_queries.items()):
                    if await _answered(client, query):
                        del open_queries[name]
    assert open_queries == {}, "these show nothing"


async def _answered(client: httpx.AsyncClient, query: str) -> bool:
    concrete = query.replace("$__rate_interval", "15s").replace("$agent", ".*")
    try:
        answer = await client.get("/api/v1/query", params={"query": concrete})
    except httpx.TransportError:
        return False  # it is starting
    if answer.is_server_error:
        return False  # the same
    document: dict[str, Any] = answer.json()
    assert document["status"] == "success", f"{query}: {document.get('error')}"
    return any(sample["value"][1] != "NaN" for sample in document["data"]["result"])
