"""A small record and a server over it, for the tests of the API and the pages."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin
from uuid import UUID

from httpx import Response
from starlette.testclient import TestClient

from agentrecord.records.error import NewError
from agentrecord.records.event import EventType, NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage, Part, PartKind
from agentrecord.records.run import NewRun
from agentrecord.records.session import CodingDetails, NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore, Store

SECRET = b"0123456789abcdef0123456789abcdef"
TOKEN = "a-sign-in-token"
HOME = "http://localhost"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>"

MOST_NODES = 3_000
_ELEMENT = re.compile(r"<[a-z]")


def nodes(page: str) -> int:
    """Return how many elements a page has."""
    return len(_ELEMENT.findall(page))


@dataclass
class FixedClock:
    """A clock that stands until it is told to go on."""

    at: datetime = field(default=START + timedelta(days=1))

    def now(self) -> datetime:
        return self.at


@dataclass(frozen=True)
class Filled:
    """What the record was filled with."""

    store: Store
    session: UUID
    child: UUID
    run: UUID
    child_run: UUID
    failed_tool: UUID
    call: UUID
    unpriced: UUID
    message: UUID


@contextmanager
def served(*, filled: bool = True, command: str = "agentrecord") -> Iterator[tuple[TestClient, Filled | None]]:
    """Yield a client that is not signed in, and what the record behind it holds; its commands begin with `command`."""
    store = AsyncStore("memory:", clock=FixedClock())
    app = build_app(store, secret=SECRET, sign_in_token=TOKEN, command=command)
    contents = fill(Store(engine=store.engine)) if filled else None
    with TestClient(app, base_url=HOME, follow_redirects=False) as client:
        yield client, contents
    store.close()


def signed_in(client: TestClient) -> TestClient:
    """Return the client with the cookie that the sign-in link gives."""
    assert client.get(f"/sign-in?token={TOKEN}").status_code == 303
    return client


def fill(store: Store) -> Filled:
    """Fill a record: a session of two turns with a failed tool and a sub-agent, and a session without a price."""
    coding = CodingDetails(tool_name="claude-code", working_directory="/home/ana/work", initial_task=f"Fix it {NASTY}")
    session = store.sessions.create(
        NewSession(session_id="s-1", agent_id="coder", source="claude-code", coding=coding, created_at=START),
        user="ana",
    )
    run = store.runs.start(NewRun(run_id="r-1", session_uuid=session.id, agent_id="coder", objective="Fix it"))
    turn = store.messages.append(
        session.id,
        [
            NewMessage(role=MessageRole.USER, content=f"Please fix {NASTY}", run_uuid=run.id),
            NewMessage(
                role=MessageRole.ASSISTANT,
                content="I look at the broken commit.",
                run_uuid=run.id,
                model_used="claude-opus-4-5",
                parts=(
                    Part(kind=PartKind.REASONING, text="Perhaps the index."),
                    Part(kind=PartKind.TEXT, text="I look at the broken commit."),
                    Part(kind=PartKind.TOOL_CALL, call_ref="use-1", name="Bash"),
                ),
            ),
        ],
        calls=[call(run.id, "claude-opus-4-5", 1000, 200, at=START)],
    )
    tool = store.tool_calls.record(
        NewToolCall(
            tool_name="Bash", call_ref="use-1", arguments='{"command": "git status"}', session_uuid=session.id,
            run_uuid=run.id, message_uuid=turn.messages[1].id, started_at=START,
        )
    )  # fmt: skip
    store.tool_calls.finish(tool.id, error_message=f"fatal: {NASTY}")
    store.events.record(
        NewEvent(event_type=EventType.COMPACTION, session_uuid=session.id, run_uuid=run.id, data='{"trigger":"auto"}')
    )
    store.errors.record(NewError(error_type="GitError", error_message="bad object 17", session_uuid=session.id))
    child, child_run = _sub_agent(store, session.id, run.id)
    store.runs.finish(run.id, output="done")
    other = store.sessions.create(NewSession(session_id="s-2", title="Local model", created_at=START), user="bob")
    unpriced = store.llm_calls.record(
        call(None, "acme-local-70b", 500, 50, at=START + timedelta(hours=1), session=other.id)
    )
    return Filled(
        store=store, session=session.id, child=child, run=run.id, child_run=child_run, failed_tool=tool.id,
        call=turn.calls[0].id, unpriced=unpriced.id, message=turn.messages[1].id,
    )  # fmt: skip


def _sub_agent(store: Store, session: UUID, run: UUID) -> tuple[UUID, UUID]:
    child = store.sessions.create(
        NewSession(session_id="s-1/a", agent_id="explorer", parent_uuid=session, created_at=START), user="ana"
    )
    below = store.runs.start(
        NewRun(run_id="r-1/a", session_uuid=child.id, parent_uuid=run, agent_id="explorer", objective="Look around"),
        user="ana",
    )
    store.messages.append(
        child.id,
        [NewMessage(role=MessageRole.ASSISTANT, content="Found it in the index.", run_uuid=below.id)],
        calls=[call(below.id, "claude-haiku-4-5", 3000, 30, at=START, is_subagent=True)],
    )
    store.runs.finish(below.id, output="in the index")
    return child.id, below.id


def call(
    run: UUID | None, model: str, tokens_in: int, tokens_out: int, *, at: datetime, session: UUID | None = None,
    is_subagent: bool = False,
) -> NewLLMCall:  # fmt: skip
    """Return a call to record."""
    return NewLLMCall(
        model=model, host="Anthropic" if model.startswith("claude") else "local", timestamp=at, run_uuid=run,
        session_uuid=session, is_subagent=is_subagent, latency_ms=1500,
        tokens=TokenCounts(input=tokens_in, cache_read=tokens_in * 4, output=tokens_out),
    )  # fmt: skip


def dead_links(client: TestClient, answer: Response) -> list[str]:
    """Return the addresses that a page leads to and that are not there, from wherever it was answered."""
    links = {html.unescape(link) for link in re.findall(r'<a\b[^>]*?\bhref="(?!#)([^"#]*)', answer.text)}
    found = sorted({urljoin(str(answer.url), link) for link in links})
    return [link for link in found if link.startswith(HOME) and client.get(link).status_code >= 400]
