"""`agentrecord session ID`: one conversation, readable."""

from collections.abc import Iterator

import click

from agentrecord.cli import words
from agentrecord.cli.filtering import tell_prices, warn_of_unpriced
from agentrecord.cli.opening import reading
from agentrecord.cli.output import (
    Form,
    chosen_form,
    encode,
    fields_of,
    is_plain_asked,
    output_options,
    show,
    write_json,
)
from agentrecord.cli.terminal import Terminal, clean, clip, one_line, out, say, told_in_lines
from agentrecord.records.message import Message, MessageRole, Part, PartKind
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.session import Session
from agentrecord.records.tool_call import ToolCall, ToolCallStatus
from agentrecord.store import Store

_ROLE_COLORS = {MessageRole.USER: "cyan", MessageRole.ASSISTANT: "green", MessageRole.SYSTEM: "magenta"}
_SIGNS = {ToolCallStatus.SUCCESS: "ok", ToolCallStatus.ERROR: "error", ToolCallStatus.PENDING: "running"}
TASK_CHARS = 80


def name_of(session: Session) -> str:
    """Return what people know a session by: its title, or its first task."""
    task = session.coding.initial_task if session.coding else None
    return session.title or task or ""


def messages_of(store: Store, session: Session) -> Iterator[Message]:
    """Yield all messages of a session, in order."""
    cursor = None
    while True:
        page = store.messages.list(session.id, limit=MAX_PAGE, cursor=cursor)
        yield from page
        cursor = page.next_cursor
        if cursor is None:
            return


def tool_calls_of(store: Store, session: Session) -> dict[str, ToolCall]:
    """Return a session's tool calls by the id that the model gave them."""
    found: dict[str, ToolCall] = {}
    cursor = None
    while True:
        page = store.tool_calls.list(session=session.id, limit=MAX_PAGE, cursor=cursor)
        found.update((call.call_ref, call) for call in page if call.call_ref is not None)
        cursor = page.next_cursor
        if cursor is None:
            return found


def _header(session: Session, terminal: Terminal) -> Iterator[str]:
    yield terminal.style(one_line(name_of(session)) or session.session_id, bold=True)
    agent = session.agent_name or session.agent_id or "no agent"
    yield f"{session.session_id}  {agent}  {session.user}  {session.status}"
    if session.coding is not None and session.coding.working_directory:
        branch = f" ({session.coding.git_branch})" if session.coding.git_branch else ""
        yield f"{session.coding.working_directory}{branch}"
    usage = session.subtree or session.usage
    told = [
        words.plural(session.message_count, "message"),
        words.plural(usage.calls, "call"),
        words.plural(session.tool_call_count, "tool call"),
        f"{usage.total_tokens:,} tokens",
        words.money(usage.cost_usd) if usage.calls else "no calls",
    ]
    if session.child_count:
        told.append(f"with {words.plural(session.child_count, 'sub-agent session')}")
    yield from told_in_lines(told, terminal)
    yield f"{words.moment(session.created_at)} to {words.moment(session.last_activity_at)} UTC"


class Conversation:
    """Writes messages as text, with their tool calls folded to a line each unless all is wanted."""

    def __init__(self, terminal: Terminal, tools: dict[str, ToolCall], *, full: bool, quiet: bool) -> None:
        """Take the session's tool calls; `quiet` leaves them out."""
        self._terminal = terminal
        self._tools = tools
        self._full = full
        self._quiet = quiet
        self._speaker: MessageRole | None = None

    def lines(self, message: Message) -> Iterator[str]:
        """Yield the lines of one message, with a heading where another speaker begins."""
        body = list(self._body(message))
        if not body:
            return
        if message.role is not self._speaker:
            self._speaker = message.role
            yield ""
            yield self._heading(message)
            yield ""
        yield from body

    def _heading(self, message: Message) -> str:
        role = self._terminal.style(f"## {message.role}", bold=True, fg=_ROLE_COLORS.get(message.role))
        beside = f"#{message.sequence}  {words.moment(message.created_at)}"
        if message.model_used:
            beside += f"  {message.model_used}"
        return f"{role}  {self._terminal.style(beside, dim=True)}"

    def _body(self, message: Message) -> Iterator[str]:
        if message.role is MessageRole.TOOL:
            # Its text is the result of a call, and is shown with that call.
            return
        told = clean(message.content).strip()
        if told:
            yield told
        for part in message.parts:
            yield from self._part(part)

    def _part(self, part: Part) -> Iterator[str]:
        if part.kind is PartKind.REASONING and self._full and part.text:
            for line in clean(part.text).strip().splitlines():
                yield self._terminal.style(f"  {line}", dim=True)
        elif part.kind is PartKind.IMAGE:
            yield f"[image {part.media_type or ''} {words.size(part.size_bytes or 0)}]"
        elif part.kind is PartKind.TOOL_CALL and not self._quiet:
            call = self._tools.get(part.call_ref or "")
            yield from self._call(part, call)

    def _call(self, part: Part, call: ToolCall | None) -> Iterator[str]:
        name = part.name or (call.tool_name if call else "tool")
        fold = self._terminal.glyph("fold")
        if call is None:
            yield f"{fold} {name}"
            return
        sign = self._terminal.glyph(_SIGNS[call.status])
        head = f"{fold} {name}  {sign} {call.status}  {words.duration(call.duration_ms)}  "
        text = head + one_line(call.arguments or "")
        yield self._terminal.style(
            clip(text, self._terminal.width, mark=self._terminal.glyph("more")),
            fg="red" if call.status is ToolCallStatus.ERROR else None, dim=call.status is not ToolCallStatus.ERROR,
        )  # fmt: skip
        details = (call.arguments, call.error_message or call.result) if self._full else (call.error_message,)
        for detail in details:
            for line in clean(detail or "").splitlines():
                yield f"    {line}"


def _print(store: Store, session: Session, *, full: bool, quiet: bool) -> None:
    terminal = out()
    for line in _header(session, terminal):
        say(line)
    conversation = Conversation(terminal, tool_calls_of(store, session), full=full, quiet=quiet)
    for message in messages_of(store, session):
        for line in conversation.lines(message):
            say(line)


@click.command("session")
@click.argument("session_id", metavar="ID")
@click.option("--full", is_flag=True, help="Arguments and results of tool calls, and reasoning, too.")
@click.option("--no-tools", is_flag=True, help="Leave the tool calls out.")
@click.option("--pager", is_flag=True, help="Show it in the pager.")
@output_options
def command(session_id: str, full: bool, no_tools: bool, pager: bool) -> None:
    """Read one conversation as text; ID is its own id or the record's.

    \b
    Examples:
      agentrecord session 0c97beba-bfcb-4f84-9950-e0354bfc808b
      agentrecord session ID --full --pager
      agentrecord session ID --json | jq '.messages[].content'
    """
    with reading() as store:
        session = store.sessions.get(session_id, with_subtree=True)
        form = chosen_form()
        if form is Form.JSONL:
            for message in messages_of(store, session):
                write_json(message)
        elif form is Form.JSON:
            tools = list(tool_calls_of(store, session).values())
            say(encode({"session": session, "messages": list(messages_of(store, session)), "tool_calls": tools}))
        elif form is Form.CSV or is_plain_asked():
            messages = list(messages_of(store, session))
            show(fields_of(messages, "sequence", "role", "created_at", "model_used", "tool_name", "content"))
        elif pager:
            terminal = out()
            conversation = Conversation(terminal, tool_calls_of(store, session), full=full, quiet=no_tools)
            body = (line for message in messages_of(store, session) for line in conversation.lines(message))
            click.echo_via_pager(f"{line}\n" for line in [*_header(session, terminal), *body])
        else:
            _print(store, session, full=full, quiet=no_tools)
    warn_of_unpriced(session.subtree or session.usage)
    if form in (Form.TABLE, Form.PLAIN):
        tell_prices(session.prices)
