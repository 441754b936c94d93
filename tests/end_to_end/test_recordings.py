"""The corpus: the real team in the sandbox still has the conversations that were recorded of it.

`--update-recordings` records them anew. What each message says differs from one sandbox to the next, in ports, ids and
what earlier changes have left behind; so here it is compared who says what to whom because of what.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from end_to_end.exchanges import shape
from end_to_end.outside import Outside
from end_to_end.scenarios import SCENARIOS, played
from interlock.protocol.recording import read, write

CORPUS = Path(__file__).parents[1] / "recordings"


def test_every_recording_has_a_scenario_that_makes_it_again() -> None:
    assert {path.stem for path in CORPUS.glob("*.jsonl")} == set(SCENARIOS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_team_still_says_what_was_recorded(
    name: str, outside: Outside, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    envelopes = await played(SCENARIOS[name], tmp_path, outside)

    file = CORPUS / f"{name}.jsonl"
    if request.config.getoption("update_recordings"):
        file.write_bytes(write(envelopes))
    now, recorded = shape(envelopes), shape(read(file.read_bytes()))
    if SCENARIOS[name].races:
        now, recorded = without_peers(now), without_peers(recorded)
    assert now == recorded


def without_peers(exchanged: dict[str, int]) -> dict[str, int]:
    """Leave out what peers answer, and what is said because of it: it may be cut off by the end at any point."""
    peers = ("backend-agent ->", "security-agent ->", "qa-agent ->", "deploy-agent ->")
    answers = ("_acknowledged", "_result", "task_declined")
    return {
        address: count
        for address, count in exchanged.items()
        if not address.startswith(peers) and not address.endswith(answers)
    }
