"""Isolation: what one project or one user has, no other can read, change or learn of, by any operation."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from agentrecord.exceptions import Conflict, Forbidden, InvalidTransition, NotFound
from agentrecord.ids import derived_id, new_id
from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.budget import BudgetChanges, BudgetPeriod, NewBudget
from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.exchange import Carried, ExportFilter, FactKind, Unit, UnitKind
from agentrecord.records.llm_call import NewLLMCall, PromptPart
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun, RunContent, RunFilter
from agentrecord.records.scope import Role
from agentrecord.records.session import CodingDetails, NewSession, SessionChanges, SessionFilter
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.transcript import CallFact, Identified, ImportBatch, MessageFact, SessionFact, Unreadable
from agentrecord.records.turn import NewTurn, TurnEnd, TurnStatus
from agentrecord.records.usage import UsageBy
from agentrecord.schema import metadata
from databases import ENGINES
from faces import OPERATIONS, Facing
from otlp_requests import chat, conversation, received
from otlp_requests import said as telling

SECRET = "s3cr3t"
HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$b25l"
AT = datetime(2026, 3, 4, tzinfo=UTC)
Ids = dict[str, Any]
USER = MessageRole.USER


def fill(store: Facing) -> Ids:
    """Store one row of everything, its texts all holding SECRET, and return the ids."""
    ids: Ids = {"project": store.scope.project}
    coding = CodingDetails(tool_name="t", working_directory=f"/{SECRET}", initial_task=SECRET)
    top = store.sessions.create(NewSession(session_id="s", title=SECRET, agent_id=f"a-{SECRET}", coding=coding)).id
    ids["session"] = top
    ids["child"] = store.sessions.create(NewSession(session_id="c", title=SECRET, parent_uuid=top)).id
    ids["run"] = store.runs.start(NewRun(run_id="r", objective=SECRET, session_uuid=top)).id
    ids["pending"] = store.runs.create(NewRun(run_id="p", objective=SECRET)).id
    turn = store.messages.append(
        top, [NewMessage(role=USER, content=SECRET, id=new_id())],
        calls=[NewLLMCall(model="m", id=new_id(), dedup_key="k", prompt=SECRET, response_content=SECRET,
                          tokens=TokenCounts(input=3, output=4), cost_nanos=5, run_uuid=ids["run"])],
    )  # fmt: skip
    ids["message"], ids["call"] = turn.messages[0].id, turn.calls[0].id
    store.events.record(NewEvent(event_type="e", data=f'"{SECRET}"', run_ref="unknown"))
    store.llm_calls.record(NewLLMCall(model="m", run_ref="unknown", cost_nanos=1, response_content=SECRET))
    ids["event"] = store.events.record(NewEvent(event_type="e", data=f'"{SECRET}"', session_uuid=top, id=new_id())).id
    ids["tool"] = store.tool_calls.record(
        NewToolCall(tool_name="t", arguments=SECRET, session_uuid=top, run_uuid=ids["run"], id=new_id(), call_ref="c1")
    ).id
    ids["error"] = store.errors.record(NewError(error_type=SECRET, error_message=SECRET, session_uuid=top)).id
    ids["group"] = store.errors.groups().items[0].id
    store.relations.relate("used", "session", top, to_kind="run", to_uuid=ids["run"], metadata=f'"{SECRET}"')
    store.imports.load(
        ImportBatch(source="x", path=f"/{SECRET}", unreadable=(Unreadable(line=1, reason=SECRET, excerpt=SECRET),))
    )
    store.imports.finish_file("x", f"/{SECRET}", size_bytes=1, modified_ns=1, fingerprint="f", facts=1, unreadable=1)
    asked = (NewMessage(role=USER, content=SECRET),)
    turn_asked = NewTurn(session_id="turns", messages=asked, lease_owner=SECRET, lease_s=60, idempotency_key="k")
    ids["turn"] = store.turns.begin(turn_asked).turn.id
    secret = chat(1, [telling("user", SECRET)], telling("assistant", SECRET), trace="c" * 32)
    store.traces.record([*received(secret), *received(*conversation())], derive)
    ids["key"] = store.keys.create(SECRET).key.id
    ids["user"] = store.sessions.get("s").user_uuid
    ids["price"] = store.prices.set(
        NewPrice(model=f"m-{SECRET}", rates=Rates(input=1, output=1), project_id=store.scope.project)
    ).id
    budget = NewBudget(name=f"b-{SECRET}", period=BudgetPeriod.DAY, limit_nanos=10**12, agent_id=f"a-{SECRET}")
    ids["budget"] = store.budgets.create(budget).id
    store.budgets.create(NewBudget(name=f"c-{SECRET}", period=BudgetPeriod.DAY, limit_nanos=0, agent_id=f"b-{SECRET}"))
    ids["reservation"] = store.budgets.reserve(
        model=f"m-{SECRET}", input_tokens=1, max_output_tokens=1, session=top, run=ids["run"]
    )
    for number in ("1", "2"):
        version = store.agents.create_version(f"v-{SECRET}", number, changes=f'"{SECRET}"').id
        store.runs.start(NewRun(run_id=f"v{number}", agent_id=f"v-{SECRET}", agent_version_uuid=version))
    store.audit.record("a", "session", SECRET)
    everyone = store.wider()
    ids["account"] = everyone.accounts.create(f"{SECRET}@example.org", password_hash=HASH).id
    ids["refresh"] = hashlib.sha256(ids["project"].bytes).digest()
    ids["sign_in"] = everyone.sign_ins.start(ids["account"], expires_at=datetime(2100, 1, 1, tzinfo=UTC),
                                             refresh_hash=ids["refresh"]).id  # fmt: skip
    return ids


def batch(ids: Ids) -> ImportBatch:
    """Return facts that carry the identities of somebody else's rows."""
    call = CallFact(session_id="s", run_id=None, dedup_key="k", timestamp=AT, model="m", host=None,
                    tokens=TokenCounts(input=999, output=999))  # fmt: skip
    message = MessageFact(session_id="s", key="1", role=USER, content="mine", created_at=AT)
    return ImportBatch(
        source="x", path="/mine", sessions=(SessionFact(session_id="s", created_at=AT, tool_name="t"),),
        calls=((Identified(row_id=new_id()), call),), messages=((Identified(row_id=ids["message"]), message),),
    )  # fmt: skip


def carried(ids: Ids) -> list[Carried]:
    """Return facts that carry the identities of somebody else's rows, and name them."""
    at, session, run = AT.isoformat(), str(ids["session"]), str(ids["run"])
    told = {"session_uuid": session, "run_uuid": run, "created_at": at}
    run_told = {"run_id": "r", "status": "completed", "created_at": at, "finished_at": at, "session_uuid": session}
    session_told = {"session_id": "s", "is_active": True, "status": "active", "created_at": at, "last_activity_at": at}
    message = {**told, "role": "user", "content": "mine", "updated_at": at}
    return [
        Carried(kind=FactKind.SESSION, id=ids["session"], fields=session_told),
        Carried(kind=FactKind.RUN, id=ids["run"], fields=run_told),
        Carried(kind=FactKind.MESSAGE, id=new_id(), fields=message),
        Carried(kind=FactKind.MESSAGE, id=ids["message"], fields=message),
        Carried(kind=FactKind.TOOL_CALL, id=ids["tool"], fields={**told, "tool_name": "t", "status": "success"}),
        Carried(kind=FactKind.ERROR, id=new_id(), fields={**told, "error_type": "E", "error_message": "x",
                                                          "is_resolved": False}),
    ]  # fmt: skip


def _asked(**more: Any) -> NewTurn:
    fields = {"session_id": "mine", "messages": (NewMessage(role=USER, content="x"),), **more}
    return NewTurn(lease_owner="o", lease_s=60, **fields)


Attack = Callable[[Facing, Ids], Any]
MATRIX: dict[str, tuple[Attack, ...]] = {
    "projects.ensure": (lambda s, i: s.projects.ensure("mine"),),
    "projects.get": (lambda s, i: s.projects.get(),),
    "projects.find": (lambda s, i: s.projects.find("mine"),),
    "projects.list": (lambda s, i: s.projects.list(),),
    "users.ensure": (lambda s, i: s.users.ensure("anna"),),
    "users.get": (lambda s, i: s.users.get(i["user"]),),
    "users.list": (lambda s, i: s.users.list(),),
    "users.report": (lambda s, i: [one for one in s.users.report() if one.usage.calls or one.sessions],
                     lambda s, i: s.users.report(query=SECRET)),
    "users.sums": (lambda s, i: s.users.sums(), lambda s, i: s.users.sums(query=SECRET)),
    "users.facets": (lambda s, i: s.users.facets(), lambda s, i: s.users.facets(query="model:* agent:*")),
    "users.values": tuple(
        lambda s, i, word=word: s.users.values(word) for word in ("user", "name", "email", "model", "tool")
    ),
    "users.details": (lambda s, i: s.users.details("anna"), lambda s, i: s.users.details(str(i["user"]))),
    "users.purge": (lambda s, i: s.users.purge("anna"), lambda s, i: s.users.purge(str(i["user"])),
                    lambda s, i: s.users.purge(str(i["user"]), cursor=f"2.{'0' * 32}")),
    "settings.get": (lambda s, i: s.settings.get("k"),),
    "settings.ensure": (lambda s, i: s.settings.ensure("k", b""),),
    "settings.set": (lambda s, i: s.settings.set("k", b""),),
    "users.find": (lambda s, i: s.users.find("anna"),),
    "accounts.create": (lambda s, i: s.accounts.create("mine@example.org"),
                        lambda s, i: s.accounts.create(f"{SECRET}@example.org", password_hash=HASH)),
    "accounts.sign_up": (lambda s, i: s.accounts.sign_up("mine@example.org", password_hash=HASH),),
    "accounts.get": (lambda s, i: s.accounts.get(i["account"]),),
    "accounts.find": (lambda s, i: s.accounts.find(f"{SECRET}@example.org"),),
    "accounts.list": (lambda s, i: s.accounts.list(),),
    "accounts.set_role": (lambda s, i: s.accounts.set_role(i["account"], Role.READ),),
    "accounts.disable": (lambda s, i: s.accounts.disable(i["account"]),),
    "accounts.enable": (lambda s, i: s.accounts.enable(i["account"]),),
    "accounts.set_password": (lambda s, i: s.accounts.set_password(i["account"], HASH),),
    "accounts.change": (lambda s, i: s.accounts.change(i["account"], role=Role.READ, is_disabled=True),),
    "accounts.find_password": (lambda s, i: s.accounts.find_password(i["account"]),),
    "accounts.rehash": (lambda s, i: s.accounts.rehash(i["account"], old=HASH, new=HASH + "x"),),
    "sign_ins.attempt": (lambda s, i: s.sign_ins.attempt(f"{SECRET}@example.org"),),
    "sign_ins.fail": (lambda s, i: s.sign_ins.fail(f"{SECRET}@example.org"),),
    "sign_ins.forgive": (lambda s, i: s.sign_ins.forgive(f"{SECRET}@example.org"),),
    "sign_ins.start": (lambda s, i: s.sign_ins.start(i["account"], expires_at=AT),),
    "sign_ins.find": (lambda s, i: s.sign_ins.find(i["sign_in"]),),
    "sign_ins.refresh": (lambda s, i: s.sign_ins.refresh(i["refresh"], new_hash=b"x" * 32),),
    "sign_ins.end": (lambda s, i: s.sign_ins.end(i["sign_in"]),),
    "keys.create": (lambda s, i: s.keys.create("mine"),),
    "keys.find": (lambda s, i: s.keys.find("arec_x_y"),),
    "keys.list": (lambda s, i: s.keys.list(),),
    "keys.revoke": (lambda s, i: s.keys.revoke(i["key"]),),
    "keys.note_use": (lambda s, i: s.keys.note_use(i["key"]),),
    "agents.ensure": (lambda s, i: s.agents.ensure("mine"),),
    "agents.get": (lambda s, i: s.agents.get(f"a-{SECRET}"),),
    "agents.list": (lambda s, i: s.agents.list(),),
    "agents.create_version": (lambda s, i: s.agents.create_version("mine", "1"),),
    "sessions.create": (
        lambda s, i: s.sessions.create(NewSession(session_id="x", parent_uuid=i["session"])),
        lambda s, i: s.sessions.create(NewSession(session_id="s", id=i["session"])),
    ),
    "sessions.find": (lambda s, i: s.sessions.find(i["session"]), lambda s, i: s.sessions.find("s")),
    "sessions.get": (lambda s, i: s.sessions.get(i["session"]), lambda s, i: s.sessions.get("s", with_subtree=True)),
    "sessions.update": (lambda s, i: s.sessions.update(i["session"], SessionChanges(title="mine")),),
    "sessions.activate": (lambda s, i: s.sessions.activate(i["session"]),),
    "sessions.deactivate": (lambda s, i: s.sessions.deactivate(i["session"]),),
    "sessions.delete": (lambda s, i: s.sessions.delete(i["session"]), lambda s, i: s.sessions.delete("s")),
    "sessions.list": (lambda s, i: s.sessions.list(SessionFilter(include_children=True)),
                      lambda s, i: s.sessions.list(SessionFilter(parent_uuid=i["session"]))),
    "sessions.sums": (lambda s, i: s.sessions.sums(),
                      lambda s, i: s.sessions.sums(SessionFilter(query=f"directory:*{SECRET}*"))),
    "sessions.facets": (lambda s, i: s.sessions.facets(SessionFilter(include_children=True)),
                        lambda s, i: s.sessions.facets(SessionFilter(query="tool:*"))),
    "sessions.values": tuple(
        lambda s, i, word=word: s.sessions.values(word) for word in ("user", "model", "tool", "directory", "branch")
    ),
    "sessions.children": (lambda s, i: s.sessions.children(i["session"]),),
    "sessions.ancestors": (lambda s, i: s.sessions.ancestors(i["child"]),),
    "sessions.subtree_usage": (lambda s, i: s.sessions.subtree_usage(i["session"]).calls,),
    "sessions.count_messages": (lambda s, i: s.sessions.count_messages(i["session"]),),
    "messages.append": (
        lambda s, i: s.messages.append(i["session"], [NewMessage(role=USER, content="x")]),
        lambda s, i: s.messages.append(i["session"], [NewMessage(role=USER, content=SECRET, id=i["message"])]),
    ),
    "messages.post": (lambda s, i: s.messages.post(i["session"], NewMessage(role=USER, content="x")),),
    "messages.clear": (lambda s, i: s.messages.clear(i["session"]), lambda s, i: s.messages.clear("s")),
    "messages.get": (lambda s, i: s.messages.get(i["message"]),),
    "messages.list": (lambda s, i: s.messages.list(i["session"]),),
    "messages.recent": (lambda s, i: s.messages.recent(i["session"]),),
    "messages.edit": (lambda s, i: s.messages.edit(i["message"], "mine"),),
    "messages.revisions": (lambda s, i: s.messages.revisions(i["message"]),),
    "messages.delete": (lambda s, i: s.messages.delete(i["message"]),),
    "messages.search": (lambda s, i: s.messages.search(SECRET),
                        lambda s, i: s.messages.search(SECRET, session=i["session"])),
    "turns.find": (lambda s, i: s.turns.find("k"),),
    "turns.get": (lambda s, i: s.turns.get(i["turn"]),),
    "turns.running": (lambda s, i: s.turns.running(),),
    "turns.events": (lambda s, i: s.turns.events(i["turn"]),),
    "turns.emit": (lambda s, i: s.turns.emit(i["turn"], [("e", "{}")], lease_owner=SECRET, lease_s=1),),
    "turns.renew": (lambda s, i: s.turns.renew(i["turn"], lease_owner=SECRET, lease_s=1),),
    "turns.watch": (lambda s, i: s.turns.watch(i["turn"]),),
    "turns.request_cancel": (lambda s, i: s.turns.request_cancel(i["turn"]),),
    "turns.finish": (
        lambda s, i: s.turns.finish(i["turn"], TurnEnd(status=TurnStatus.CANCELLED), lease_owner=SECRET),
    ),
    "turns.close_abandoned": (lambda s, i: s.turns.close_abandoned(owners=[SECRET]),),
    "agents.report": (lambda s, i: s.agents.report(query=SECRET), lambda s, i: s.agents.report()),
    "agents.sums": (lambda s, i: s.agents.sums(), lambda s, i: s.agents.sums(query=f"*{SECRET}*")),
    "agents.facets": (lambda s, i: s.agents.facets(), lambda s, i: s.agents.facets(query="user:* model:*")),
    "agents.values": tuple(lambda s, i, word=word: s.agents.values(word) for word in ("user", "model", "tool")),
    "agents.details": (lambda s, i: s.agents.details(f"a-{SECRET}"),),
    "agents.compare": (lambda s, i: s.agents.compare(f"v-{SECRET}"),
                       lambda s, i: s.agents.compare(f"v-{SECRET}", "1", "2")),
    "agents.find_active": (lambda s, i: s.agents.find_active(f"a-{SECRET}"),),
    "runs.create": (lambda s, i: s.runs.create(NewRun(run_id="x", session_uuid=i["session"])),
                    lambda s, i: s.runs.create(NewRun(run_id="y", id=i["pending"]))),
    "runs.start": (lambda s, i: s.runs.start(NewRun(run_id="x", parent_uuid=i["run"])),
                   lambda s, i: s.runs.start(NewRun(run_id="z", id=i["run"]))),
    "runs.finish": (lambda s, i: s.runs.finish(i["run"], output="mine"),),
    "runs.fail": (lambda s, i: s.runs.fail(i["run"], "mine"),),
    "runs.cancel": (lambda s, i: s.runs.cancel(i["run"]),),
    "runs.heartbeat": (lambda s, i: s.runs.heartbeat(i["run"]),),
    "runs.count_abandoned": (lambda s, i: s.runs.count_abandoned(),),
    "runs.close_abandoned": (lambda s, i: s.runs.close_abandoned(),),
    "runs.find": (lambda s, i: s.runs.find("r"), lambda s, i: s.runs.find(i["run"])),
    "runs.get": (lambda s, i: s.runs.get(i["run"], with_subtree=True),),
    "runs.list": (lambda s, i: s.runs.list(), lambda s, i: s.runs.list(RunFilter(session_uuid=i["session"]))),
    "runs.sums": (lambda s, i: s.runs.sums(), lambda s, i: s.runs.sums(RunFilter(query=f"agent:*{SECRET}*"))),
    "runs.facets": (lambda s, i: s.runs.facets(), lambda s, i: s.runs.facets(RunFilter(query="model:*,x"))),
    "runs.series": (lambda s, i: s.runs.series(),),
    "runs.failures": (lambda s, i: s.runs.failures([i["run"]]),),
    "runs.values": tuple(
        lambda s, i, word=word: s.runs.values(word) for word in ("user", "model", "tool", "session", "source", "run")
    ),
    "runs.tree": (lambda s, i: s.runs.tree(i["run"]),),
    "runs.record": (lambda s, i: s.runs.record("r", RunContent(objective="mine")),),
    "runs.replace": (lambda s, i: s.runs.replace("r", RunContent(objective="mine")),),
    "runs.delete": (lambda s, i: s.runs.delete("r"), lambda s, i: s.runs.delete("unknown")),
    "runs.latest": (lambda s, i: s.runs.latest(limit=1000),
                    lambda s, i: s.runs.latest(agent_id=f"a-{SECRET}")),
    "runs.broken": (lambda s, i: s.runs.broken(),),
    "runs.figures": (lambda s, i: s.runs.figures(), lambda s, i: s.runs.figures(agent_id=f"a-{SECRET}")),
    "events.record": (lambda s, i: s.events.record(NewEvent(event_type="e", session_uuid=i["session"])),
                      lambda s, i: s.events.record(NewEvent(event_type="e", run_uuid=i["run"])),
                      lambda s, i: s.events.record(NewEvent(event_type="e", data=f'"{SECRET}"', id=i["event"]))),
    "events.named": (lambda s, i: s.events.named(run_id="r"), lambda s, i: s.events.named()),
    "events.get": (lambda s, i: s.events.get(i["event"]),),
    "events.list": (lambda s, i: s.events.list(session=i["session"]), lambda s, i: s.events.list()),
    "llm_calls.record": (
        lambda s, i: s.llm_calls.record(NewLLMCall(model="m", session_uuid=i["session"])),
        lambda s, i: s.llm_calls.record(NewLLMCall(model="m", run_uuid=i["run"])),
        lambda s, i: s.llm_calls.record(NewLLMCall(model="m", id=i["call"])),
        lambda s, i: s.llm_calls.record(NewLLMCall(model="m", id=i["reservation"])),
        lambda s, i: s.llm_calls.record(NewLLMCall(model="m", dedup_key="k", tokens=TokenCounts(input=9**9))),
        lambda s, i: s.llm_calls.record(NewLLMCall(model="m", prompt=(PromptPart(message_uuid=i["message"]),))),
    ),
    "llm_calls.named": (lambda s, i: s.llm_calls.named(run_id="r"), lambda s, i: s.llm_calls.named(limit=1000),
                        lambda s, i: s.llm_calls.named(agent_id=f"a-{SECRET}")),
    "llm_calls.get": (lambda s, i: s.llm_calls.get(i["call"]),),
    "llm_calls.list": (lambda s, i: s.llm_calls.list(session=i["session"]),
                       lambda s, i: s.llm_calls.list(run=i["run"])),
    "llm_calls.price": (lambda s, i: s.llm_calls.price(i["call"]),),
    "llm_calls.prompt": (lambda s, i: s.llm_calls.prompt(i["call"]),),
    "tool_calls.record": (
        lambda s, i: s.tool_calls.record(NewToolCall(tool_name="t", session_uuid=i["session"])),
        lambda s, i: s.tool_calls.record(NewToolCall(tool_name="t", arguments=SECRET, id=i["tool"])),
    ),
    "tool_calls.finish": (lambda s, i: s.tool_calls.finish(i["tool"], result="mine"),),
    "tool_calls.get": (lambda s, i: s.tool_calls.get(i["tool"]),),
    "tool_calls.list": (lambda s, i: s.tool_calls.list(run=i["run"]),),
    "tool_calls.figures": (lambda s, i: s.tool_calls.figures(),),
    "errors.record": (lambda s, i: s.errors.record(NewError(error_type="E", error_message="x", run_uuid=i["run"])),
                      lambda s, i: s.errors.record(NewError(error_type=SECRET, error_message=SECRET, id=i["error"]))),
    "errors.get": (lambda s, i: s.errors.get(i["error"]),),
    "errors.list": (lambda s, i: s.errors.list(group=i["group"]),),
    "errors.groups": (lambda s, i: s.errors.groups(include_resolved=True),),
    "errors.group_sums": (lambda s, i: s.errors.group_sums(include_resolved=True),),
    "errors.group_facets": (lambda s, i: s.errors.group_facets(include_resolved=True),
                            lambda s, i: s.errors.group_facets(query="version:* agent:*,x")),
    "errors.group_values": tuple(
        lambda s, i, word=word: s.errors.group_values(word) for word in ("type", "group", "user")
    ),
    "errors.group": (lambda s, i: s.errors.group(i["group"]), lambda s, i: s.errors.group(str(i["group"]))),
    "errors.breakdown": (lambda s, i: s.errors.breakdown(i["group"]),),
    "errors.resolve": (lambda s, i: s.errors.resolve(i["group"]),),
    "errors.reopen": (lambda s, i: s.errors.reopen(i["group"]),),
    "usage.report": tuple(lambda s, i, by=by: s.usage.report(by).rows for by in UsageBy),
    "usage.series": (lambda s, i: s.usage.series(UsageBy.MODEL),),
    "usage.total": (lambda s, i: [t for t in (s.usage.total(),) if t.calls],),
    "usage.span": (lambda s, i: [] if s.usage.span() is None else [s.usage.span()],),
    "usage.sessions": (lambda s, i: s.usage.sessions().rows,),
    "usage.names": (
        lambda s, i: s.usage.names(UsageBy.MODEL),
        lambda s, i: s.usage.names(UsageBy.HOST),
        lambda s, i: [name for name in s.usage.names(UsageBy.USER) if name != "ben"],
    ),
    "usage.activity": (lambda s, i: s.usage.activity().rows,),
    "usage.blocks": (lambda s, i: s.usage.blocks(),),
    "usage.daily": (lambda s, i: [d for d in s.usage.daily() if d.totals.calls],),
    "usage.performance": (lambda s, i: [d for d in s.usage.performance() if d.totals.calls],),
    "usage.recount": (lambda s, i: s.usage.recount(),),
    "prices.set": (lambda s, i: s.prices.set(NewPrice(model="m", rates=Rates(input=1, output=1), project_id=new_id())),
                   lambda s, i: s.prices.set(NewPrice(model="m", rates=Rates(input=1, output=1)))),
    "prices.retire": (lambda s, i: s.prices.retire(i["price"]),),
    "prices.list": (lambda s, i: s.prices.list(),),
    "prices.find": (lambda s, i: s.prices.find(f"m-{SECRET}"),),
    "prices.uses": (lambda s, i: s.prices.uses(),),
    "prices.behind": (lambda s, i: s.prices.behind(),),
    "prices.spending": (lambda s, i: s.prices.spending().rows,),
    "prices.ensure_host": (lambda s, i: s.prices.ensure_host("mine"),),
    "prices.list_models": (lambda s, i: s.prices.list_models(),),
    "prices.reprice": (lambda s, i: s.prices.reprice(apply=True),),
    "prices.preview": (
        lambda s, i: s.prices.preview(NewPrice(model="*", rates=Rates(input=1, output=1), project_id=new_id())),
        lambda s, i: s.prices.preview(
            NewPrice(model="*", rates=Rates(input=1, output=1), project_id=s.scope.project)).rows,
    ),
    "prices.apply": (
        lambda s, i: s.prices.apply(NewPrice(model="*", rates=Rates(input=1, output=1), project_id=new_id())),
        lambda s, i: s.prices.apply(
            NewPrice(model="*", rates=Rates(input=1, output=1), project_id=s.scope.project)).repricing.rows,
    ),
    "budgets.create": (
        lambda s, i: s.budgets.create(NewBudget(name=f"b-{SECRET}", period=BudgetPeriod.DAY, limit_nanos=1)),
        lambda s, i: s.budgets.create(NewBudget(name="x", period=BudgetPeriod.DAY, limit_nanos=1, user="anna")),
    ),
    "budgets.find": (lambda s, i: s.budgets.find(f"b-{SECRET}"),),
    "budgets.get": (lambda s, i: s.budgets.get(i["budget"]),),
    "budgets.list": (lambda s, i: s.budgets.list(),),
    "budgets.update": (lambda s, i: s.budgets.update(i["budget"], BudgetChanges(limit_nanos=1)),),
    "budgets.delete": (lambda s, i: s.budgets.delete(i["budget"]),),
    "budgets.status": (lambda s, i: s.budgets.status(i["budget"]),),
    "budgets.statuses": (lambda s, i: s.budgets.statuses(),),
    "budgets.near": (lambda s, i: s.budgets.near(),),
    "budgets.reserve": (
        lambda s, i: s.budgets.reserve(model="m", input_tokens=1, max_output_tokens=1, session=i["session"]),
        lambda s, i: s.budgets.reserve(model="m", input_tokens=1, max_output_tokens=1, run=i["run"]),
        lambda s, i: s.budgets.reserve(
            model=f"m-{SECRET}", input_tokens=1, max_output_tokens=1, call=i["reservation"]),
        lambda s, i: s.budgets.reserve(model="m", input_tokens=1, max_output_tokens=1, call=i["call"]),
    ),
    "budgets.release": (lambda s, i: s.budgets.release(i["reservation"]),),
    "budgets.open_reservations": (lambda s, i: s.budgets.open_reservations(),
                                  lambda s, i: s.budgets.open_reservations(run=i["run"])),
    "relations.relate": (
        lambda s, i: s.relations.relate("used", "run", i["run"], to_kind="session", to_uuid=i["session"]),
    ),
    "relations.of": (lambda s, i: s.relations.of("session", i["session"]),),
    "audit.record": (lambda s, i: s.audit.record("a", "session", "mine"),),
    "audit.list": (lambda s, i: s.audit.list(),),
    "audit.trail": (lambda s, i: s.audit.trail("session"),),
    "audit.verify": (lambda s, i: s.audit.verify(),),
    "imports.load": (lambda s, i: s.imports.load(batch(i)),),
    "imports.preview": (lambda s, i: s.imports.preview(batch(i), set()),),
    "imports.finish_file": (lambda s, i: s.imports.finish_file(
        "mine", "/m", size_bytes=1, modified_ns=1, fingerprint="f", facts=1, unreadable=0),),
    "imports.files": (lambda s, i: s.imports.files("x"),),
    "imports.unreadable": (lambda s, i: s.imports.unreadable(),),
    "traces.spans": (lambda s, i: s.traces.spans(), lambda s, i: s.traces.spans(session=i["session"])),
    "traces.sent": (lambda s, i: s.traces.sent(i["run"]), lambda s, i: s.traces.sent(i["call"])),
    "exchange.units": (lambda s, i: s.exchange.units(ExportFilter(session=i["session"])),),
    "exchange.count": (lambda s, i: s.exchange.count(ExportFilter(session=i["session"])),),
    "exchange.facts": (
        lambda s, i: s.exchange.facts(Unit(kind=UnitKind.SESSION, id=i["session"], began=AT)).facts,
        lambda s, i: s.exchange.facts(Unit(kind=UnitKind.RUN, id=i["run"], began=AT)).facts,
        lambda s, i: s.exchange.facts(Unit(kind=UnitKind.LOOSE, id=i["run"], began=AT)).facts,
    ),
    "exchange.restore": (lambda s, i: s.exchange.restore(carried(i)),),
    "feed.changes": (lambda s, i: s.feed.changes().items,),
    "feed.place": (lambda s, i: s.feed.place(),),
    "pages.conversation": (lambda s, i: s.pages.conversation(i["session"]),),
    "pages.run_tree": (lambda s, i: s.pages.run_tree(i["run"]),),
    "runs.alike": (lambda s, i: s.runs.alike(i["run"]),),
    "llm_calls.detail": (lambda s, i: s.llm_calls.detail(i["call"]),),
    "pages.subtree_sums": (lambda s, i: s.pages.subtree_sums([i["session"]]),),
    "pages.session_drivers": (lambda s, i: s.pages.session_drivers([i["session"]]),),
    "pages.find": (lambda s, i: s.pages.find(SECRET), lambda s, i: s.pages.find(f"a-{SECRET}"),
                   lambda s, i: s.pages.find(str(i["session"])), lambda s, i: s.pages.find(str(i["call"]))),
    "queries.run": (lambda s, i: s.queries.run("SELECT * FROM ar_sessions").rows,
                    lambda s, i: s.queries.run("SELECT count(*) FROM ar_messages").rows[0]),
    "queries.tables": (lambda s, i: s.queries.tables(),),
    "runs.number": (lambda s, i: s.runs.number([i["run"]]),),
    "events.number": (lambda s, i: s.events.number([i["event"]]),),
    "llm_calls.number": (lambda s, i: s.llm_calls.number([i["call"]]),),
    "events.record_all": (lambda s, i: s.events.record_all([NewEvent(event_type="e", run_uuid=i["run"])]),
                          lambda s, i: s.events.record_all([NewEvent(event_type="e", run_ref="r")])),
    "events.record_numbered": (lambda s, i: s.events.record_numbered([NewEvent(event_type="tool_call", run_ref="r",
                                                                               data='{"tool_name": "t"}')]),),
    "llm_calls.record_numbered": (
        lambda s, i: s.llm_calls.record_numbered([NewLLMCall(model="m", run_ref="r")]),
        lambda s, i: s.llm_calls.record_numbered([NewLLMCall(model="m", run_uuid=i["run"])]),
        lambda s, i: s.llm_calls.record_numbered([NewLLMCall(model="m", dedup_key="k")]),
    ),
    "turns.begin": (
        lambda s, i: s.turns.begin(_asked(idempotency_key="k")),
        lambda s, i: s.turns.begin(_asked(session_id=str(i["session"]))),
    ),
    # The last, since it gives the stranger rows of their own, which the others would show.
    "traces.record": (lambda s, i: s.traces.record(received(*conversation()), derive),),
}  # fmt: skip

OPEN_ANSWERS = {
    "projects.get": "one's own project", "users.ensure": "one's own user", "users.list": "one's own users",
    "accounts.create": "one's own account", "accounts.list": "one's own accounts",
    "keys.create": "one's own key", "keys.find": "looks a secret up before the project is known",
    "agents.ensure": "one's own agent", "agents.list": "one's own agents", "agents.create_version": "one's own agent",
    "keys.list": "one's own keys", "sessions.subtree_usage": "sums of nothing", "sessions.count_messages": "zero",
    "prices.list": "everybody's prices", "prices.ensure_host": "hosts are the same for all",
    "prices.list_models": "models are the same for all", "audit.record": "one's own entry", "audit.list": "own entries",
    "audit.trail": "own entries",
    "imports.load": "stores one's own facts", "imports.preview": "counts one's own facts",
    "imports.finish_file": "one's own file",
    "exchange.restore": "counts only", "exchange.count": "zero",
    "traces.record": "one's own spans", "usage.recount": "differences only", "turns.begin": "one's own turn",
    "runs.sums": "sums of nothing", "runs.facets": "counts of nothing", "runs.values": "one's own user",
    "sessions.sums": "sums of nothing", "sessions.facets": "counts of nothing", "sessions.values": "one's own user",
    "runs.record": "one's own run", "runs.figures": "sums of nothing", "events.record_all": "one's own event",
    "events.record_numbered": "one's own event", "llm_calls.record_numbered": "one's own call",
    "pages.conversation": "an empty page", "users.facets": "one's own user", "users.sums": "one's own user",
    "feed.place": "a place, no row", "feed.changes": "one's own changes",
    "users.values": "one's own user", "agents.sums": "sums of nothing", "agents.facets": "counts of nothing",
    "agents.values": "one's own user", "errors.group_sums": "sums of nothing",
    "errors.group_facets": "counts of nothing", "errors.group_values": "one's own user",
    "queries.run": "counts of nothing", "queries.tables": "names of tables",
}  # fmt: skip
"""Operations that answer a stranger with more than nothing, and why they may: never with what is another's."""

PROJECT_WIDE = frozenset(
    {"agents.get", "agents.list", "audit.list", "audit.trail", "prices.list", "prices.find", "agents.ensure"}
)
"""What the users of one project share: its agents, its own prices, and for administrators its audit trail."""


def contents(store: Facing, user: UUID | None) -> dict[str, list[Any]]:
    """Return every row of the store's project (and the user's, where a table knows users)."""

    def read(conn: Any, scope: Any) -> dict[str, list[Any]]:
        found = {}
        for table in metadata.sorted_tables:
            if "project_id" not in table.c or table.name in ("ar_serials", "ar_projects"):
                continue
            statement = table.select().where(table.c.project_id == scope.project)
            if user is not None and "user_uuid" in table.c:
                statement = statement.where(table.c.user_uuid == user)
            elif user is not None:
                continue
            found[table.name] = sorted(map(repr, conn.rows(statement)))
        return found

    observer, store.engine.observer = store.engine.observer, None
    try:
        found: dict[str, list[Any]] = store.run(read)
    finally:
        store.engine.observer = observer
    return found


def attacked(stranger: Facing, ids: Ids, operation: str, attack: Attack, *, shared: frozenset[str]) -> Any:
    """Return what a stranger is answered; None for a refusal."""
    try:
        found = attack(stranger, ids)
    except (NotFound, Forbidden, Conflict):
        return None
    if operation in OPEN_ANSWERS or operation in shared:
        return found
    if OPERATIONS[operation].writes and stranger.scope.project != ids["project"]:
        # An identity is free in another project: the stranger made a row of their own.
        return found
    size = len(found) if hasattr(found, "__len__") else int(bool(found))
    assert size == 0, f"{operation} answered a stranger with {found!r}"
    return found


def test_every_operation_has_its_row_in_the_matrix() -> None:
    assert set(MATRIX) == set(OPERATIONS)


@pytest.mark.parametrize(("engine", "face"), [*((engine, "sync") for engine in ENGINES), ("sqlite", "async")])
@pytest.mark.parametrize("stranger", ["another project", "another user"])
def test_no_operation_shows_or_changes_what_is_anothers(
    open_store: Callable[[str, str], Facing], engine: str, stranger: str, face: str
) -> None:
    store = open_store(engine, face)
    owner = store.scoped(project="a", user="anna")
    ids = fill(owner)
    user = ids["user"] if stranger == "another user" else None
    shared = PROJECT_WIDE if stranger == "another user" else frozenset()
    whole = store.scoped(project="a")
    before = contents(whole, user)
    assert SECRET in repr(before)
    for operation, attacks in MATRIX.items():
        for number, attack in enumerate(attacks):
            if stranger == "another project":
                other = store.scoped(project=f"{operation} {number}", role=Role.ADMIN)
            else:
                other = store.scoped(project="a").scoped(user="ben", role=Role.ADMIN)
            found = attacked(other, ids, operation, attack, shared=shared)
            assert str(ids["user"]) not in repr(found), operation
            if operation not in shared and not OPERATIONS[operation].writes:
                assert SECRET not in repr(found), operation
            after = contents(whole, user)
            assert {t: r for t, r in after.items() if r != before[t]} == {}, operation
    assert owner.usage.recount() == ()


def test_a_reader_writes_nothing_and_only_administrators_administer(store: Facing) -> None:
    roles = list(Role)
    for role in roles:
        seen = store.scoped(role=role)
        for name, operation in OPERATIONS.items():
            if operation.writes:
                assert operation.role is not Role.READ, name
            if roles.index(role) < roles.index(operation.role):
                with pytest.raises(Forbidden):
                    seen.call(name)
    assert store.rows_in("ar_sessions") == 0


def test_a_user_sees_their_own_and_only_their_own(store: Facing) -> None:
    for user in ("anna", "ben"):
        seen = store.scoped(user=user)
        session = seen.sessions.create(NewSession(session_id=f"s-{user}")).id
        seen.messages.append(session, [NewMessage(role=USER, content=f"hello from {user}")],
                             calls=[NewLLMCall(model="m", cost_nanos=1)])  # fmt: skip
    for user in ("anna", "ben"):
        seen = store.scoped(user=user)
        assert [s.session_id for s in seen.sessions.list()] == [f"s-{user}"]
        assert [h.session_id for h in seen.messages.search("hello")] == [f"s-{user}"]
        assert seen.usage.report(UsageBy.TOTAL).total.calls == 1
        assert seen.prices.uses()[0].totals.calls == 1
    assert store.usage.report(UsageBy.TOTAL).total.calls == 2


def test_one_identity_in_two_projects_is_two_rows(store: Facing) -> None:
    row = derived_id(AT, "same")
    for project in ("a", "b"):
        seen = store.scoped(project=project)
        session = seen.sessions.create(NewSession(session_id="s", id=row)).id
        seen.messages.append(session, [NewMessage(role=USER, content=project, id=row)])
        seen.llm_calls.record(NewLLMCall(model="m", id=row, dedup_key="k", cost_nanos=1))
        run = seen.runs.start(NewRun(run_id="r", id=row))
        seen.runs.finish(run.id)
        with pytest.raises(InvalidTransition):
            seen.runs.cancel(run.id)
    for project in ("a", "b"):
        seen = store.scoped(project=project)
        assert seen.messages.get(row).content == project
        assert seen.usage.report(UsageBy.TOTAL).total.calls == 1
