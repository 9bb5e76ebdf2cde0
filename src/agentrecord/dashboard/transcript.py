"""A conversation as Markdown, to be copied or kept: turn by turn, with what the tools were given and gave back."""

import re
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

from agentrecord.dashboard import conversation, formats
from agentrecord.dashboard.contexts import Block, TurnView
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.session import Session
from agentrecord.records.tool_call import ToolCall
from agentrecord.store import AsyncStore

_TICKS = re.compile(r"`+")
_SIGNS = {"success": "✓", "error": "✕", "pending": "⏸"}


async def markdown(store: AsyncStore, session: Session) -> AsyncIterator[str]:
    """Yield a conversation as Markdown, a stretch at a time."""
    yield "".join(_head(session))
    told: UUID | None = None
    start: int | None = 1
    while start is not None:
        turns, start = await conversation.turns_from(store, session.id, start, limit=MAX_PAGE)
        for turn in turns:
            run = None if turn.run is None else turn.run.id
            # A long turn goes on in the next stretch, under the heading that it has.
            yield "".join(_turn(turn, with_heading=run is None or run != told))
            told = run


def _head(session: Session) -> Iterator[str]:
    usage = session.subtree or session.usage
    name = session.title or (session.coding.initial_task if session.coding else None) or session.session_id
    yield f"# {formats.one_line(name, 140)}\n\n"
    yield f"- session: {session.session_id}\n- agent: {session.agent_name or session.agent_id or 'none'}\n"
    yield f"- user: {session.user}\n- begun: {formats.instant(session.created_at)}\n"
    excluded = f", without {usage.unpriced_calls:,} calls that have no price" if usage.unpriced_calls else ""
    yield f"- cost: {formats.cost(usage)} ({formats.counted(usage.calls, 'LLM call')}{excluded})\n"


def _turn(turn: TurnView, *, with_heading: bool) -> Iterator[str]:
    if with_heading:
        figures = (
            "" if turn.run is None else f" · {formats.duration(turn.run.duration_ms)} · {formats.cost(turn.run.usage)}"
        )
        yield f"\n## {f'Turn {turn.number}' if turn.number else 'Outside any turn'}{figures}\n"
    for block in turn.blocks:
        yield from _block(block)
    if turn.run is not None and turn.run.error_message:
        yield f"\n> ✕ {formats.one_line(turn.run.error_message, 1000)}\n"


def _block(block: Block) -> Iterator[str]:
    match block.kind:
        case "tool" if block.tool is not None:
            yield from _tool(block.tool)
        case "reasoning":
            yield "\n**reasoning**\n\n" + _fenced(block.text)
        case "agent" if block.child is not None:
            name = block.child.agent_name or block.child.agent_id or ""
            yield f"\n**sub-agent {name}**: session {block.child.session_id}\n"
        case "mark":
            yield f"\n*{block.title}* {formats.one_line(block.text, 300)}\n"
        case "idle":
            yield f"\n*{block.text} idle*\n"
        case "anchor":
            return
        case _:
            beside = f" ({block.model})" if block.model else ""
            yield f"\n**{block.kind}**{beside} · {formats.instant(block.at)}\n\n{block.text}\n"


def _tool(tool: ToolCall) -> Iterator[str]:
    yield f"\n**tool {tool.tool_name}** {_SIGNS[tool.status]} {tool.status} · {formats.duration(tool.duration_ms)}\n"
    if tool.arguments:
        yield "\n" + _fenced(formats.pretty_json(tool.arguments), "json")
    for text in (tool.error_message, tool.result):
        if text:
            yield "\n" + _fenced(text)


def _fenced(text: str, language: str = "") -> str:
    """Return a text as a code block, whatever fences it holds itself."""
    longest = max((len(found) for found in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n"
