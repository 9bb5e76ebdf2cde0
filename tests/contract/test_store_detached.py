"""Pieces of a trace whose parent span never came: told below the trace's run, marked, and no longer once it comes."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.run_tree import RunTree, SpanKind
from agentrecord.records.span import Span
from databases import ENGINES
from faces import Facing, covers
from otlp_requests import TRACE, chat, received, said, span

REMOTE = 0x300
"""The flags of a span whose parent is another process's."""


def agent(number: int, name: str, **place: Any) -> dict[str, Any]:
    return span(number, name, {"openinference.span.kind": "AGENT", "agent.name": name}, **place)


def tool(number: int, name: str, **place: Any) -> dict[str, Any]:
    return span(number, name, {"openinference.span.kind": "TOOL", "tool.name": name}, **place)


def ask(number: int, **place: Any) -> dict[str, Any]:
    return chat(number, [said("user", f"ask {number}")], said("assistant", f"answer {number}"), **place)


def record(store: Facing, spans: list[Span]) -> None:
    store.traces.record(spans, derive)


def tree_of(store: Facing) -> RunTree:
    return store.pages.run_tree(store.runs.get(TRACE).id)


def shape(tree: RunTree) -> list[tuple[int, str, str | None]]:
    """Return each piece's depth and name, and the number of the span that it is detached from."""
    assert all(one.is_detached is (one.detached_from is not None) for one in tree.spans)
    return [(one.depth, one.name, one.detached_from and one.detached_from.lstrip("0")) for one in tree.spans]


TREE = [
    agent(1, "guide", at=(0, 100)),
    span(2, "plan", parent=1, at=(1, 60)),
    ask(3, parent=2, at=(2, 10)),
    agent(4, "helper", parent=2, at=(12, 50)),
    ask(5, parent=4, at=(13, 20)),
    tool(6, "look", parent=5, at=(21, 30)),
    tool(7, "write", parent=1, at=(70, 80)),
]
"""An agent; a step of it with a request and a sub-agent that asks and uses a tool; and its own use of a tool."""

WHOLE = [
    (0, "guide", None), (1, "gpt-4o", None), (1, "helper", None), (2, "gpt-4o", None), (2, "look", None),
    (1, "write", None),
]  # fmt: skip


@covers("traces.record", "pages.run_tree")
def test_what_is_below_a_span_that_never_came_is_detached_but_not_what_is_in_a_run_there(store: Facing) -> None:
    record(store, received(*(one for one in TREE if one["name"] != "plan")))
    assert shape(tree_of(store)) == [
        (0, "guide", None), (1, "gpt-4o", "2"), (1, "helper", "2"), (2, "gpt-4o", None), (2, "look", None),
        (1, "write", None),
    ]  # fmt: skip
    helper = next(one for one in tree_of(store).spans if one.name == "helper")
    assert [one.is_detached for one in store.pages.run_tree(helper.id).spans] == [True, False, False]


@covers("traces.record", "pages.run_tree", "events.list")
def test_what_was_detached_stands_below_its_parent_once_that_comes(store: Facing) -> None:
    spans = received(*TREE)
    record(store, [one for one in spans if one.span_id not in (f"{2:016x}", f"{4:016x}")])
    assert shape(tree_of(store)) == [
        (0, "guide", None), (1, "gpt-4o", "2"), (1, "gpt-4o", "4"), (1, "look", "4"), (1, "write", None),
    ]  # fmt: skip
    told = {one.span_id: one for one in store.events.list(run=store.runs.get(TRACE).id)}
    assert (told[f"{6:016x}"].detached_from, told[f"{7:016x}"].detached_from) == (f"{4:016x}", None)
    pieces = {one.id: one.name for one in tree_of(store).spans}
    assert pieces[told[f"{6:016x}"].piece_uuid] == "look"
    record(store, [spans[3]])
    assert shape(tree_of(store))[1:5] == [
        (1, "gpt-4o", "2"), (1, "helper", "2"), (2, "gpt-4o", None), (2, "look", None),
    ]  # fmt: skip
    record(store, [spans[1]])
    assert shape(tree_of(store)) == WHOLE


@pytest.mark.parametrize("engine", ENGINES)
def test_whatever_order_the_parts_come_in_nothing_is_detached_at_the_end(
    open_store: Callable[[str, str], Facing], engine: str
) -> None:
    spans = received(*TREE)
    orders = list(itertools.permutations((spans[:1], spans[1:2], spans[2:4], spans[4:])))
    for parts in orders[:: 4 if engine == "memory" else 11]:
        store = open_store(engine, "sync")
        for number, part in enumerate(parts, 1):
            record(store, part)
            at_once = open_store("memory", "sync")
            record(at_once, list(itertools.chain(*parts[:number])))
            assert shape(tree_of(store)) == shape(tree_of(at_once))
            known = {one.span_id for one in itertools.chain(*parts[:number])}
            assert known.isdisjoint(one.detached_from for one in tree_of(store).spans)
        assert shape(tree_of(store)) == WHOLE
        assert store.usage.recount() == ()


@covers("traces.record", "pages.run_tree")
def test_two_processes_below_one_that_sends_last_are_below_it_in_the_end(store: Facing) -> None:
    first = [agent(2, "first", parent=1, at=(5, 40), flags=REMOTE), ask(3, parent=2, at=(6, 20))]
    second = [agent(4, "second", parent=1, at=(8, 60), flags=REMOTE), ask(5, parent=4, at=(9, 30))]
    record(store, received(*second))
    # The sender says that its parent is elsewhere: it is the whole as far as anybody knows.
    assert shape(tree_of(store)) == [(0, "second", None), (1, "gpt-4o", None)]
    record(store, received(*first))
    assert shape(tree_of(store)) == [
        (0, "first", None), (1, "gpt-4o", None), (1, "second", "1"), (2, "gpt-4o", None),
    ]  # fmt: skip
    record(store, received(agent(1, "gate", at=(0, 100))))
    assert shape(tree_of(store)) == [
        (0, "gate", None), (1, "first", None), (2, "gpt-4o", None), (1, "second", None), (2, "gpt-4o", None),
    ]  # fmt: skip


@covers("traces.record", "pages.run_tree")
def test_a_request_that_is_a_run_of_its_own_is_detached_as_a_run(store: Facing) -> None:
    record(store, received(ask(2, parent=1, at=(1, 9), flags=REMOTE), ask(3, parent=1, at=(3, 8), flags=REMOTE)))
    kinds = [(one.kind, one.depth, one.is_detached) for one in tree_of(store).spans]
    assert kinds == [
        (SpanKind.RUN, 0, False), (SpanKind.LLM, 1, False), (SpanKind.RUN, 1, True), (SpanKind.LLM, 2, False),
    ]  # fmt: skip


@covers("traces.sent")
def test_twins_of_one_instant_are_each_made_of_the_span_that_was_theirs(store: Facing) -> None:
    twins = [ask(number, parent=1, at=(10, 20), more={"seat": number}) for number in (2, 3, 4)]
    record(store, received(agent(1, "guide", at=(0, 90)), *twins))
    calls = [one for one in tree_of(store).spans if one.kind is SpanKind.LLM]
    assert sorted(store.traces.sent(one.id).span_id for one in calls) == [f"{number:016x}" for number in (2, 3, 4)]
    root = tree_of(store).root
    for number in (2, 3, 4):
        found = store.pages.run_tree(root, query=f"attr.seat:{number}").found
        assert [store.traces.sent(one).span_id for one in found] == [f"{number:016x}"]
