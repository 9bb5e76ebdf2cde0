"""Real traces of real frameworks: figures that were counted without the importer, and the messages expected of each."""

import json
import sys
from pathlib import Path

import pytest

from agentrecord.ingest.otlp_wire import spans_of_json

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "otlp"
sys.path.insert(0, str(ROOT / "scripts"))

from check_traces import EXPECTED, LATEST, dumped, recorded, spans_of_pb, unlike  # noqa: E402


def test_usage_under_two_names_and_on_the_agent_above_counts_once() -> None:
    assert dumped(DATA / "pydantic-ai.jsonl") == EXPECTED["pydantic-ai"]


def test_cached_tokens_are_a_part_of_the_input() -> None:
    expected = {"spans": 12, "traces": 12, "calls": 12, "input": 1_540, "output": 295}
    assert dumped(DATA / "anthropic.jsonl") == expected


def test_what_an_agent_spent_is_what_its_requests_spent() -> None:
    assert recorded(json.loads((DATA / "copilot.json").read_text())) == EXPECTED["copilot"]


def test_protobuf_and_json_are_the_same_spans() -> None:
    lines = (DATA / "pydantic-ai.jsonl").read_bytes().splitlines()
    assert spans_of_pb(DATA / "pydantic-ai.pb") == [
        s for line in lines for s in spans_of_json(line, latest=LATEST).spans
    ]


@pytest.mark.parametrize("trace", sorted(DATA.glob("*.trace.json")), ids=lambda path: path.name.split("-20")[0])
def test_the_messages_of_a_framework_are_those_its_users_saw(trace: Path) -> None:
    assert list(unlike(trace)) == []
