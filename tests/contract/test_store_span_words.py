"""Pieces of a run are found by what they are, by what they hold and by their attributes, on every engine alike."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentrecord.exceptions import InvalidFilter
from agentrecord.ids import new_id
from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.event import EventType, NewEvent
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.run_tree import only
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from faces import Facing, covers
from otlp_requests import received, span

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def filled(store: Facing) -> Any:
    """Record a run with a phase, two calls, three uses of tools and a run below; return its id."""
    run = store.runs.start(NewRun(run_id="r", agent_id="bot", started_at=START, metadata='{"env":"staging"}')).id
    given = {"run_uuid": run, "latency_ms": 1000, "tokens": TokenCounts(input=10, output=5)}
    store.llm_calls.record(
        NewLLMCall(model="claude-opus", timestamp=START + timedelta(seconds=2), response_content="The Weather is fine",
                   input_params='{"temperature":0.5,"stop":["x"]}', cost_nanos=60_000_000, **given)
    )  # fmt: skip
    store.llm_calls.record(
        NewLLMCall(model="gpt-5", timestamp=START + timedelta(seconds=9), status=CallStatus.ERROR,
                   error_message="rate limit", cost_nanos=1, **given)
    )  # fmt: skip
    for second, name, arguments, error in (
        (3, "get_weather", '{"city":"Paris","place":{"zip":75001}}', None),
        (4, "get_weather", '{"city":"Rome"}', "no such city"),
        (5, "Bash", '{"command":"ls 100%"}', None),
    ):
        at = START + timedelta(seconds=second)
        made = store.tool_calls.record(
            NewToolCall(tool_name=name, run_uuid=run, arguments=arguments, started_at=at)
        )  # fmt: skip
        store.tool_calls.finish(made.id, error_message=error, result="sunny", finished_at=at + timedelta(seconds=2))
    store.events.record(
        NewEvent(event_type=EventType.CUSTOM, run_uuid=run, timestamp=START + timedelta(seconds=8), duration_ms=500,
                 data='{"phase":"tidy up","Depth":{"left":3}}')
    )  # fmt: skip
    below = store.runs.start(
        NewRun(run_id="sub", agent_id="helper", parent_uuid=run, started_at=START + timedelta(seconds=6),
               objective="Look it up")
    )  # fmt: skip
    store.runs.finish(below.id, output="42")
    return run


FOUND = {
    "kind:tool": ["get_weather", "get_weather", "Bash"],
    "-kind:tool -kind:run": ["claude-opus", "tidy up", "gpt-5"],
    "status:error": ["get_weather", "gpt-5"],
    "name:get_*,Bash status:success": ["get_weather", "Bash"],
    "model:claude-*": ["claude-opus"],
    "tool:bash": [],
    "agent:helper": ["helper"],
    "error:*CITY*": ["get_weather"],
    "cost:>0.05 kind:llm": ["claude-opus"],
    "duration:>=2s kind:tool": ["get_weather", "get_weather", "Bash"],
    "tokens:15 -model:gpt-5": ["claude-opus"],
    "attr.city:Paris": ["get_weather"],
    "attr.city:*": ["get_weather", "get_weather"],
    "attr.CITY:rome": [],
    "attr.city:rom*": ["get_weather"],
    "-attr.city:Paris kind:tool": ["get_weather", "Bash"],
    "attr.place.zip:75001": ["get_weather"],
    "attr.temperature:0.5": ["claude-opus"],
    r'attr.stop:"[\"x\"]"': ["claude-opus"],
    "attr.env:staging": ["bot"],
    "attr.depth.left:3": ["tidy up"],
    "weather": ["claude-opus", "get_weather", "get_weather"],
    '"weather is"': ["claude-opus"],
    "paris": ["get_weather"],
    "100%": ["Bash"],
    "s*y": ["get_weather", "get_weather", "Bash", "tidy up"],
    "up": ["helper", "tidy up"],
    "nothing-like-it": [],
}


@covers("pages.run_tree")
def test_pieces_are_found_by_words_by_text_and_by_attributes(store: Facing) -> None:
    run = filled(store)
    for query, names in FOUND.items():
        tree = store.pages.run_tree(run, query=query)
        assert tree.found is not None
        found = [span.name for span in tree.spans if span.id in tree.found]
        assert sorted(found) == sorted(names), query
        # What a piece is in is shown with it.
        shown = only(tree.spans, tree.found)
        assert bool(names) == bool(shown)
        assert not shown or shown[0].id == run
    assert store.pages.run_tree(run).found is None


@covers("pages.run_tree")
def test_a_filter_that_cannot_be_understood_is_refused_with_the_words_that_there_are(store: Facing) -> None:
    run = filled(store)
    for query, said in (
        ("colour:red", "attr.KEY"), ("kind:odd", "phase"), ("attr.:x", "is no word"), ("cost:much", "dollars"),
        ("status:", "has no value"),
    ):  # fmt: skip
        with pytest.raises(InvalidFilter, match=said):
            store.pages.run_tree(run, query=query)


@covers("pages.run_tree", "traces.sent")
def test_what_a_client_sent_of_a_span_finds_the_piece_that_was_made_of_it_and_the_other_way_round(
    store: Facing,
) -> None:
    sent = received(
        span(1, "agent", {"openinference.span.kind": "AGENT", "tenant": "acme"}, at=(0, 90)),
        span(2, "chat", {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "feature.flag": "new"},
             parent=1, at=(10, 20)),
        span(3, "chat", {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "feature.flag": "old"},
             parent=1, at=(30, 40)),
        span(4, "look", {"openinference.span.kind": "TOOL", "tool.name": "look", "Shelf": 4}, parent=1, at=(50, 60)),
    )  # fmt: skip
    store.traces.record(sent, derive)
    (run,) = store.runs.list().items
    for query, starts in (
        ("attr.feature.flag:new", [10]), ("attr.feature.flag:*", [10, 30]), ("attr.shelf:4", [50]),
        ("attr.tenant:acme", [0]), ("kind:llm attr.service.name:shop", [10, 30]),
    ):  # fmt: skip
        tree = store.pages.run_tree(run.id, query=query)
        assert tree.found is not None
        found = [one for one in tree.spans if one.id in tree.found]
        assert [one.kind for one in found if one.kind not in ("llm", "tool", "run")] == []
        assert len(found) == len(starts), query
    sent_of = {}
    for one in store.pages.run_tree(run.id).spans:
        found_span = store.traces.sent(one.id)
        assert found_span is not None
        sent_of[one.name, one.started_at] = found_span.span_id
    assert sorted(sent_of.values()) == [f"{number:016x}" for number in (1, 2, 3, 4)]
    own = filled(store)
    assert [store.traces.sent(one.id) for one in store.pages.run_tree(own).spans] == [None] * 8
    assert store.traces.sent(new_id()) is None
