"""The page of one session: messages, tool calls, sub-agents and marks, turn by turn."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from agentrecord.dashboard import formats
from agentrecord.dashboard.contexts import Block, OutlineRow, SessionPage, TurnView
from agentrecord.records.event import Event, EventType
from agentrecord.records.message import Message, MessageRole, PartKind
from agentrecord.records.run import Run
from agentrecord.records.session import Session
from agentrecord.records.tool_call import ToolCall, ToolCallStatus
from agentrecord.records.usage import UsageTotals
from agentrecord.store import AsyncStore
from agentrecord.store.pages import COSTLY_NANOS, Conversation

STRETCH = 100
OUTLINE = 120
"""So many turns the outline shows, around those that are shown."""

IDLE = timedelta(minutes=10)
"""A longer silence between two messages is told of."""

SHOWN_CHARS = 20_000
"""A longer text is cut; the rest is a link away."""

_MARKS = {
    EventType.COMPACTION: "Context compacted",
    EventType.SUMMARY: "Summary",
    EventType.ERROR: "Error",
    EventType.PULL_REQUEST: "Pull request",
    EventType.CHECKPOINT: "Checkpoint",
    EventType.HOOK: "Hook",
}


async def stretch_from(store: AsyncStore, session_id: str | UUID, start: int) -> SessionPage:
    """Return the stretch of a conversation that begins with message `start`."""
    session = await store.sessions.get(session_id, with_subtree=True)
    found, ancestors, failed = await asyncio.gather(
        store.pages.conversation(session.id, from_sequence=start, limit=STRETCH),
        store.sessions.ancestors(session.id),
        store.tool_calls.list(session=session.id, status=ToolCallStatus.ERROR, limit=5),
    )
    numbers = {run.id: place for place, run in enumerate(found.runs, 1)}
    return SessionPage(
        session=session,
        ancestors=ancestors,
        turns=list(_turns(found, numbers)),
        outline=_outline(found, numbers, start),
        silent_turns=sum(run.id not in found.starts for run in found.runs),
        drivers=_drivers(session, found, numbers),
        models=found.models,
        failed_tools=failed.items,
        start=start,
        next_start=found.next_sequence,
        previous_start=max(1, start - STRETCH) if start > 1 else None,
        shown=len(found.messages),
        runs=found.runs,
    )


async def turns_from(
    store: AsyncStore, session: UUID, start: int, *, limit: int
) -> tuple[Sequence[TurnView], int | None]:
    """Return what was said from message `start` of a session on, and where the next stretch begins."""
    found = await store.pages.conversation(session, from_sequence=start, limit=limit)
    numbers = {run.id: place for place, run in enumerate(found.runs, 1)}
    return list(_turns(found, numbers)), found.next_sequence


async def turns_of_run(store: AsyncStore, run: Run, session: UUID, start: int) -> tuple[Sequence[TurnView], int | None]:
    """Return what was said in one run, from message `start` of its session on, and where the next stretch begins."""
    found = await store.pages.conversation(session, from_sequence=start, limit=STRETCH, run=run.id)
    below = {child.session_uuid for child in found.child_runs if child.parent_uuid == run.id}
    found = replace(found, children=tuple(child for child in found.children if child.id in below))
    numbers = {one.id: place for place, one in enumerate(found.runs, 1)}
    return list(_turns(found, numbers)), found.next_sequence


def _outline(found: Conversation, numbers: dict[UUID, int], start: int) -> list[OutlineRow]:
    """Return the turns around those that are shown, each with its share of the costliest one's cost."""
    told = [run for run in found.runs if run.id in found.starts]
    most = max((run.usage.cost_nanos for run in told), default=0)
    here = sum(found.starts[run.id] < start for run in told)
    first = max(0, min(here - OUTLINE // 3, len(told) - OUTLINE))
    return [
        OutlineRow(
            number=numbers[run.id],
            run=run,
            start=page_start(found.starts[run.id]),
            share=run.usage.cost_nanos / most if most else 0.0,
        )
        for run in told[first : first + OUTLINE]
    ]


def _turns(found: Conversation, numbers: dict[UUID, int]) -> Iterator[TurnView]:
    runs = {run.id: run for run in found.runs}
    marks = sorted([*_marks(found.events), *_agents(found)], key=lambda block: block.at)
    loose = _loose(found)
    group: list[Block] = []
    current: UUID | None = None
    began = False
    before: datetime | None = None
    for message, blocks in _said(found):
        if began and message.run_uuid != current:
            group.extend(loose.pop(current, ()))
            yield TurnView(number=_get(numbers, current), run=_run(runs, current), blocks=group)
            group = []
        if before is not None and message.created_at - before >= IDLE:
            silence = formats.duration(formats.between(before, message.created_at))
            group.append(Block(kind="idle", at=message.created_at, text=silence))
        current, began, before = message.run_uuid, True, message.created_at
        while marks and marks[0].at <= message.created_at:
            group.append(marks.pop(0))
        waiting = loose.get(message.run_uuid, [])
        while waiting and waiting[0].at <= message.created_at:
            group.append(waiting.pop(0))
        group.extend(_joined(group, message, blocks))
    group.extend(loose.pop(current, ()))
    group.extend(marks)
    if group:
        yield TurnView(number=_get(numbers, current), run=_run(runs, current), blocks=group)


def _loose(found: Conversation) -> dict[UUID | None, list[Block]]:
    """Return, by run, the tool calls that no message tells of: they stand where they were made."""
    told = {part.call_ref for message in found.messages for part in message.parts if part.kind is PartKind.TOOL_CALL}
    start = found.messages[0].created_at if found.messages else None
    loose: dict[UUID | None, list[Block]] = {}
    for call in found.tool_calls:
        if call.message_uuid is not None or call.call_ref in told or call.started_at is None:
            continue
        if start is not None and call.started_at >= start:
            loose.setdefault(call.run_uuid, []).append(Block(kind="tool", at=call.started_at, tool=call))
    return loose


def _joined(group: list[Block], message: Message, blocks: list[Block]) -> list[Block]:
    """Join the text of one response, written as several messages, where nothing came between."""
    last = group[-1] if group else None
    if last is None or not blocks or message.message_id is None or last.response != message.message_id:
        return blocks
    first = blocks[0]
    is_short = len(last.text) + len(first.text) <= SHOWN_CHARS
    if is_short and last.kind == first.kind and first.kind in ("assistant", "reasoning"):
        group[-1] = replace(last, text=f"{last.text}\n\n{first.text}", totals=last.totals or first.totals)
        return [Block(kind="anchor", at=first.at, anchor=first.anchor), *blocks[1:]]
    return blocks


def _get(numbers: dict[UUID, int], run: UUID | None) -> int | None:
    return None if run is None else numbers.get(run)


def _run(runs: dict[UUID, Run], run: UUID | None) -> Run | None:
    return None if run is None else runs.get(run)


def _said(found: Conversation) -> Iterator[tuple[Message, list[Block]]]:
    """Yield each message with what it shows; a tool's result shows with the call it answers."""
    by_ref = {call.call_ref: call for call in found.tool_calls if call.call_ref}
    by_message: dict[UUID | None, list[ToolCall]] = {}
    for call in found.tool_calls:
        by_message.setdefault(call.message_uuid, []).append(call)
    shown: set[UUID] = set()
    unsaid = _response_sums(found.messages)
    for message in found.messages:
        blocks = list(_texts(message))
        for call in _calls(message, by_ref, by_message):
            if call.id not in shown:
                shown.add(call.id)
                blocks.append(Block(kind="tool", at=message.created_at, anchor=message.id, tool=call))
        if blocks:
            totals = unsaid.pop(message.message_id or str(message.id), None)
            place = next((n for n, block in enumerate(blocks) if block.kind == "assistant"), None)
            if totals is not None and place is None and blocks[-1].kind == "tool":
                place = len(blocks) - 1
            if totals is not None and place is not None:
                blocks[place] = replace(blocks[place], totals=totals)
            elif totals is not None:
                unsaid[message.message_id or str(message.id)] = totals
        if not blocks and _is_result(message, by_ref):
            blocks.append(Block(kind="anchor", at=message.created_at, anchor=message.id))
        yield message, blocks


def _response_sums(messages: Sequence[Message]) -> dict[str, UsageTotals]:
    """Return the sums of the calls behind each response, which may be written as several messages."""
    sums: dict[str, UsageTotals] = {}
    for message in messages:
        if message.usage.calls:
            key = message.message_id or str(message.id)
            sums[key] = sums.get(key, UsageTotals()) + message.usage
    return sums


def _calls(
    message: Message, by_ref: dict[str, ToolCall], by_message: dict[UUID | None, list[ToolCall]]
) -> Iterator[ToolCall]:
    for part in message.parts:
        if part.kind is PartKind.TOOL_CALL and part.call_ref in by_ref:
            yield by_ref[part.call_ref]
    yield from by_message.get(message.id, ())


def _is_result(message: Message, by_ref: dict[str, ToolCall]) -> bool:
    return message.role is MessageRole.TOOL and (message.tool_call_id or "") in by_ref


def _texts(message: Message) -> Iterator[Block]:
    at, role = message.created_at, message.role
    results = {part.call_ref for part in message.parts if part.kind is PartKind.TOOL_RESULT}
    for part in message.parts:
        if part.kind is PartKind.REASONING and (part.text or "").strip():
            yield Block(kind="reasoning", at=at, anchor=message.id, text=part.text or "", response=message.message_id)
        if part.kind is PartKind.IMAGE:
            said = f"{part.media_type or 'image'}, {formats.number(part.size_bytes)} bytes"
            yield Block(kind="mark", at=at, anchor=message.id, title="Image", text=said)
    if not message.content.strip() or (role is MessageRole.TOOL and (results or message.tool_call_id)):
        return
    yield Block(
        kind=str(role), at=at, anchor=message.id, text=message.content.strip("\n"), model=message.model_used,
        response=message.message_id,
    )  # fmt: skip


def _marks(events: Sequence[Event]) -> Iterator[Block]:
    for event in events:
        title = _MARKS.get(EventType(event.event_type)) if event.event_type in set(EventType) else None
        if title is not None:
            yield Block(kind="mark", at=event.timestamp, title=title, text=formats.pretty_json(event.data))


def _agents(found: Conversation) -> Iterator[Block]:
    runs: dict[UUID | None, Run] = {}
    for run in found.child_runs:
        runs.setdefault(run.session_uuid, run)
    for child in found.children:
        yield Block(
            kind="agent", at=child.created_at, child=child, child_run=runs.get(child.id),
            totals=found.child_sums.get(child.id),
        )  # fmt: skip


def _drivers(session: Session, found: Conversation, numbers: dict[UUID, int]) -> list[tuple[str, str]]:
    """Return what made the cost, each with the address of the place that shows it."""
    whole = session.subtree or session.usage
    drivers: list[tuple[str, str]] = []
    if whole.cost_nanos:
        top, totals = max(found.models.items(), key=lambda item: item[1].cost_nanos)
        drivers.append((f"{formats.percent(totals.cost_nanos, whole.cost_nanos)} {top}", "#figures"))
        drivers.extend(_costly(found))
        for run in sorted(found.runs, key=lambda run: -run.usage.cost_nanos)[:2]:
            if run.usage.cost_nanos and run.id in found.starts:
                said = f"turn {numbers[run.id]} = {formats.money(run.usage.cost_nanos)}"
                drivers.append((said, f"?from={page_start(found.starts[run.id])}#turn-{numbers[run.id]}"))
        below = whole.cost_nanos - session.usage.cost_nanos
        if below:
            drivers.append((f"sub-agents {formats.percent(below, whole.cost_nanos)}", "#figures"))
    if whole.calls:
        drivers.append((f"{formats.percent(whole.cached_share)} of input from cache", "#figures"))
    return drivers


def _costly(found: Conversation) -> Iterator[tuple[str, str]]:
    """Yield how many calls cost much, and where the costliest of them is."""
    call = found.costliest
    if call is not None:
        calls = f"{formats.counted(found.costly_calls, 'call')} over {formats.money(COSTLY_NANOS).rstrip('0')}"
        yield calls, "#figures" if call.run_uuid is None else f"/r/{call.run_uuid}?span={call.id}"


def page_start(sequence: int) -> int:
    """Return where the stretch begins that shows a message, so that all links to it are alike."""
    return (sequence - 1) // STRETCH * STRETCH + 1
