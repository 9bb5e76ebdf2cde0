"""Records that the tests in a browser look at: one with every kind of thing in it, and one full of hostile texts."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.budget import BudgetPeriod, NewBudget
from agentrecord.records.error import NewError
from agentrecord.records.event import EventType, NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage, Part, PartKind
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun
from agentrecord.records.scope import Role
from agentrecord.records.session import CodingDetails, NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.transcript import ImportBatch, Unreadable
from agentrecord.server.passwords import hashed
from agentrecord.store import Store
from otlp_requests import conversation, received

PASSWORD = "correct horse battery"
USER, ASSISTANT = MessageRole.USER, MessageRole.ASSISTANT


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Where the things of a record are."""

    session: UUID
    run: UUID
    failed: UUID
    tool: UUID
    call: UUID
    message: UUID
    user: str
    agent: str
    fingerprint: str


def fill(store: Store) -> Contents:
    """Store one of everything that a page shows."""
    now = datetime.now(UTC)
    for day, (user, model) in enumerate((("ana@example.org", "claude-haiku-4-5"), ("bob@acme.io", "claude-opus-4-5"))):
        session, run, message = _talk(store, user, model, now - timedelta(hours=30 * (1 - day) + 1))
    tool, call = _work(store, session, run, now - timedelta(minutes=50))
    store.runs.finish(run, output="The refund is on its way.")
    failed = store.runs.start(
        NewRun(run_id="run-that-failed", agent_id="support-bot", objective="Refund 17"), user="bob@acme.io"
    )
    store.runs.fail(failed.id, "The payment service did not answer")
    for number in ("1.0", "1.1"):
        version = store.agents.create_version("support-bot", number, changes='{"prompt": "shorter"}')
        made = store.runs.start(
            NewRun(run_id=f"run-of-{number}", agent_id="support-bot", agent_version_uuid=version.id),
            user="ana@example.org",
        )
        store.runs.finish(made.id)
    store.runs.start(
        NewRun(run_id="run-that-goes-on", agent_id="support-bot", objective="Wait"), user="ana@example.org"
    )
    store.errors.record(
        NewError(error_type="TimeoutError", error_message="upstream timed out after 30 s", session_uuid=session,
                 run_uuid=run, stack_trace="Traceback\n  File x", agent_id="support-bot"),
    )  # fmt: skip
    other = store.sessions.create(NewSession(session_id="local", title="A model without a price"), user="bob@acme.io")
    store.llm_calls.record(NewLLMCall(model="acme-local-70b", session_uuid=other.id, timestamp=now,
                                      tokens=TokenCounts(input=500, output=50)))  # fmt: skip
    store.budgets.create(NewBudget(name="bob's day", period=BudgetPeriod.DAY, limit_nanos=10**9, user="bob@acme.io"))
    store.prices.set(NewPrice(model="house-model", rates=Rates(input=3_000_000_000, output=15_000_000_000)))
    store.imports.load(ImportBatch(source="claude-code", path="/x.jsonl",
                                   unreadable=(Unreadable(line=3, reason="is no JSON", excerpt="{oops"),)))  # fmt: skip
    store.traces.record(received(*conversation()), derive)
    store.accounts.create("root@example.org", role=Role.ADMIN, password_hash=hashed(PASSWORD))
    store.keys.create("nightly import")
    group = store.errors.groups().items[0]
    return Contents(
        session=session, run=run, failed=failed.id, tool=tool, call=call, message=message, user="bob@acme.io",
        agent="support-bot", fingerprint=group.fingerprint,
    )  # fmt: skip


def _talk(store: Store, user: str, model: str, at: datetime) -> tuple[UUID, UUID, UUID]:
    name = user.partition("@")[0]
    coding = CodingDetails(tool_name="claude-code", working_directory="/home/ana/work", initial_task="Fix it")
    session = store.sessions.create(
        NewSession(session_id=f"talk-{name}", title=f"Refund for {name}", agent_id="support-bot", source="claude-code",
                   coding=coding, created_at=at, tags=("vip",)), user=user,
    ).id  # fmt: skip
    run = store.runs.start(
        NewRun(run_id=f"run-{name}", session_uuid=session, agent_id="support-bot", objective="Refund the order"),
        user=user,
    ).id
    parts = (
        Part(kind=PartKind.REASONING, text="Perhaps twice."),
        Part(kind=PartKind.TEXT, text="I look at the order."),
        Part(kind=PartKind.TOOL_CALL, call_ref=f"use-{name}", name="refund_payment"),
    )
    said = store.messages.append(
        session,
        [
            NewMessage(role=USER, content=f"My invoice is wrong, says {name}.", run_uuid=run, created_at=at),
            NewMessage(role=ASSISTANT, content="I look at the order.", run_uuid=run, model_used=model, parts=parts),
        ],
        calls=[NewLLMCall(model=model, host="Anthropic", run_uuid=run, session_uuid=session, timestamp=at,
                          latency_ms=1500, prompt="Be kind.", response_content="I look at the order.",
                          tokens=TokenCounts(input=40_000, cache_read=9_000, output=1_500))],
    )  # fmt: skip
    return session, run, said.messages[1].id


def _work(store: Store, session: UUID, run: UUID, at: datetime) -> tuple[UUID, UUID]:
    tool = store.tool_calls.record(
        NewToolCall(tool_name="refund_payment", call_ref="use-bob", arguments='{"order": 17}', session_uuid=session,
                    run_uuid=run, started_at=at)
    )  # fmt: skip
    store.tool_calls.finish(tool.id, error_message="card_declined")
    store.events.record(
        NewEvent(event_type=EventType.COMPACTION, session_uuid=session, run_uuid=run, data='{"trigger":"auto"}')
    )
    call = store.llm_calls.list(run=run).items[0]
    child = store.sessions.create(NewSession(session_id="talk-bob/a", parent_uuid=session), user="bob@acme.io")
    below = store.runs.start(
        NewRun(run_id="run-bob/a", session_uuid=child.id, parent_uuid=run, agent_id="explorer", objective="Look"),
        user="bob@acme.io",
    )
    store.messages.append(
        child.id, [NewMessage(role=ASSISTANT, content="Found it.", run_uuid=below.id)],
        calls=[NewLLMCall(model="claude-haiku-4-5", host="Anthropic", run_uuid=below.id, session_uuid=child.id,
                          timestamp=at, tokens=TokenCounts(input=3000, output=30), is_subagent=True)],
    )  # fmt: skip
    store.runs.finish(below.id, output="Found it.")
    return tool.id, call.id


PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    '"><script>alert(1)</script>',
    "'><img src=//evil.example/a onerror=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    "javascript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
    "<body onload=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<math href=javascript:alert(1)>x",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<base href=//evil.example/>",
    "<object data=//evil.example/x>",
    "<embed src=//evil.example/x.swf>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "<form action=//evil.example/><button>x</button></form>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</pre></code><script>alert(1)</script>",
    "<!--><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "<style>@import '//evil.example/x.css';</style>",
    "<x style=background:url(//evil.example/)>",
    "{{7*7}}{% print(1) %}",
    "${alert(1)}",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "[x](javascript:alert(1))",
    "![x](//evil.example/x.png)",
    "<svg><animate onbegin=alert(1) attributeName=x>",
    "<marquee onstart=alert(1)>",
    "<template><script>alert(1)</script></template>",
    "<portal src=//evil.example/>",
    '" onmouseover=alert(1) x="',
    "' autofocus onfocus=alert(1) tabindex=1 x='",
    "data:text/html,<script>alert(1)</script>",
)
"""Texts that would run a script, leave the page or ask another host if a page took them for markup."""


def fill_with_payloads(store: Store) -> list[UUID]:
    """Store every payload in every field that somebody else can write; return the sessions and then the runs."""
    sessions, runs = [], []
    for place, text in enumerate(PAYLOADS):
        user = f"{place} {text}"
        session = store.sessions.create(
            NewSession(session_id=user, title=text, description=text, agent_id=user, agent_name=text, source=text,
                       purpose=text, tags=(text,), coding=CodingDetails(tool_name=text, working_directory=text,
                                                                       initial_task=text)), user=user,
        ).id  # fmt: skip
        run = store.runs.start(
            NewRun(run_id=user, session_uuid=session, agent_id=user, agent_name=text, objective=text,
                   additional_context=text), user=user,
        ).id  # fmt: skip
        said = store.messages.append(
            session,
            [NewMessage(role=USER, content=text, run_uuid=run),
             NewMessage(role=ASSISTANT, content=text, run_uuid=run, model_used=text,
                        parts=(Part(kind=PartKind.REASONING, text=text), Part(kind=PartKind.TEXT, text=text),
                               Part(kind=PartKind.TOOL_CALL, call_ref=f"use-{place}", name=text)))],
            calls=[NewLLMCall(model=f"{place} {text}", host=text, run_uuid=run, session_uuid=session, prompt=text,
                              response_content=text, error_message=text, request_id=text)],
        )  # fmt: skip
        tool = store.tool_calls.record(
            NewToolCall(tool_name=text, call_ref=f"use-{place}", arguments=text, session_uuid=session, run_uuid=run,
                        message_uuid=said.messages[1].id)
        )  # fmt: skip
        store.tool_calls.finish(tool.id, result=text, error_message=text)
        store.errors.record(
            NewError(error_type=f"{place} {text}", error_message=text, error_code=text, stack_trace=text,
                     session_uuid=session, run_uuid=run)
        )  # fmt: skip
        store.runs.fail(run, text)
        store.imports.load(
            ImportBatch(source=text, path=user, unreadable=(Unreadable(line=1, reason=text, excerpt=text),))
        )
        sessions.append(session)
        runs.append(run)
    return [*sessions, *runs]
