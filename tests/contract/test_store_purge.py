"""The purge of a user: nothing that they said or were called is left, every figure stays, nobody else loses."""

from pathlib import Path
from typing import Any

import pytest

from agentrecord.engine.sqlite import SqliteEngine
from agentrecord.exceptions import Conflict, Forbidden, InvalidFilter, InvalidValue, NotFound
from agentrecord.ids import derived_id
from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.audit import Actor
from agentrecord.records.budget import BudgetPeriod, NewBudget
from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import CallStatus, NewLLMCall, PromptPart
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.people import UserPurge
from agentrecord.records.run import NewRun, RunStatus
from agentrecord.records.scope import Role
from agentrecord.records.session import CodingDetails, NewSession, SessionFilter
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.transcript import CallFact, Identified, ImportBatch, MessageFact, RunFact, SessionFact
from agentrecord.records.turn import NewTurn, TurnEnd, TurnStatus
from agentrecord.schema import metadata
from agentrecord.store import Store
from agentrecord.store.upkeep import compact
from databases import Databases
from faces import Facing, covers
from held_clock import HeldClock
from otlp_requests import conversation, received

WORD = "zebrafinch"
ANA = "ana@tern.example"
BOB = f"bob@{WORD}.example"
USER = MessageRole.USER


def fill(store: Any, user: str, word: str) -> None:
    """Record one of everything for a user, each text of it holding a word."""
    store.users.ensure(user, name=f"Bob {word}", email=user)
    coding = CodingDetails(tool_name="coder", working_directory=f"/home/{word}", host=word, username=word,
                           git_branch=word, initial_task=word, chat_id=word)  # fmt: skip
    session = store.sessions.create(
        NewSession(session_id=f"talk-{word}", title=f"Talk {word}", coding=coding, tags=(word,), description=word,
                   metadata=f'{{"k":"{word}"}}', agent_id="guide"), user=user,
    ).id  # fmt: skip
    run = store.runs.start(NewRun(run_id=f"run-{word}", objective=word, session_uuid=session), user=user).id
    said = store.messages.append(
        session,
        [NewMessage(role=USER, content=f"my {word} sings", message_id=word, run_uuid=run, extra_data=f'"{word}"')],
    ).messages[0]
    store.messages.edit(said.id, f"my {word} sings well")
    for where in ({"session_uuid": session, "run_uuid": run}, {}):
        store.llm_calls.record(
            NewLLMCall(model="gpt-4o", host="OpenAI", tokens=TokenCounts(input=100, output=10), response_content=word,
                       input_params=f'{{"k":"{word}"}}', request_id=word, status=CallStatus.ERROR, error_message=word,
                       prompt=(PromptPart(role=USER, content=f"{word} {len(where)}"),), **where), user=user,
        )  # fmt: skip
        use = store.tool_calls.record(NewToolCall(tool_name="look", arguments=f'"{word}"', **where), user=user)
        store.tool_calls.finish(use.id, result=word)
        store.events.record(NewEvent(event_type="custom", data=f'{{"k":"{word}"}}', **where), user=user)
        store.errors.record(
            NewError(error_type="Odd", error_message=f"{word} flew", stack_trace=word, **where), user=user
        )
    store.events.record(NewEvent(event_type="custom", run_ref=f"r-{word}"), user=user)
    store.runs.finish(run, output=word)
    store.runs.start(NewRun(run_id=f"alone-{word}", objective=word), user=user)
    store.keys.create(f"key of {word}", role=Role.READ, user=user)
    store.budgets.create(NewBudget(name=f"{word}'s", period=BudgetPeriod.DAY, limit_nanos=1, user=user))
    store.audit.record("read", "/u/{user_id:path}", user, actor=user, origin=f"address of {word}")


def turn_of(store: Any, user: str, word: str) -> None:
    """Record a turn of a conversation that said a word."""
    own = store.scoped(user=user)
    begun = own.turns.begin(
        NewTurn(
            session_id=f"turn-{word}", messages=(NewMessage(role=USER, content=word),), request_hash="h",
            lease_owner="o", lease_s=60, agent_id="guide", idempotency_key=word,
        )
    )  # fmt: skip
    reply = NewMessage(role=MessageRole.ASSISTANT, content=word)
    own.turns.finish(begun.turn.id, TurnEnd(status=TurnStatus.COMPLETED, reply=reply), lease_owner="o")


def purged(store: Any, user: str, **options: Any) -> list[UserPurge]:
    """Purge a user, batch by batch."""
    batches = [store.users.purge(user, **options)]
    while batches[-1].cursor is not None:
        batches.append(store.users.purge(str(batches[0].user), cursor=batches[-1].cursor, **options))
    return batches


def what_is_seen(store: Any) -> list[str]:
    """Return what one user sees of the record."""
    lists = (store.sessions, store.llm_calls, store.runs, store.events, store.tool_calls, store.errors)
    talk = store.sessions.get("talk-tern").id
    return [str(group.list().items) for group in lists] + [str(store.messages.list(talk).items)]


def everything(store: Facing) -> str:
    """Return every row of every table as text."""
    return "\n".join(f"{name}: {row}" for name in metadata.tables for row in store.sql(f"SELECT * FROM {name}"))


@covers("users.purge")
def test_nothing_that_a_user_said_or_was_called_is_left_in_any_table(store: Facing) -> None:
    fill(store, BOB, WORD)
    turn_of(store, BOB, WORD)
    store.sessions.delete(store.sessions.create(NewSession(session_id=f"gone-{WORD}"), user=BOB).id)
    for told in (f"talk-{WORD}", f"gone-{WORD}", f"run-{WORD}", f"talk-{WORD}/7", f"alone-{WORD}/spans"):
        store.audit.record("read", "/s/{session_id:path}", told, actor="root")
    assert everything(store).count(WORD) > 50
    store.scoped(user=BOB).traces.record(received(*conversation()), derive)
    before = store.users.details(BOB).figures
    batches = purged(store, BOB, by=Actor(kind="account", name="root"))
    assert WORD not in everything(store)
    assert (batches[-1].steps_done, batches[-1].cursor) == (batches[-1].steps, None)
    assert {row[0] for row in store.sql("SELECT data FROM ar_events")} == {None}, "spans of traces too"
    assert sum(batch.rows for batch in batches) > 10
    after = store.users.details(str(batches[0].user)).figures
    assert (after.user.external_id, after.user.name, after.user.email) == (f"erased-{before.user.id.hex}", None, None)
    assert after.user.erased_at is not None
    assert (after.usage, after.runs, after.sessions, after.tool_calls, after.errors, after.messages) == (
        before.usage, before.runs, before.sessions, before.tool_calls, before.errors, before.messages
    )  # fmt: skip
    assert [entry.entry.action for entry in store.audit.trail("user", str(before.user.id))] == [
        "user.purged", "user.purge"
    ]  # fmt: skip
    assert store.audit.verify() == ()
    assert store.messages.search(WORD).items == []
    assert store.rows_in("ar_search") == 0
    assert store.pages.find(WORD) == store.pages.find("bob") == []
    assert [key.name for key in store.keys.list() if key.revoked_at is None] == []


@covers("users.purge")
def test_what_is_called_like_a_session_of_a_deleted_user_keeps_its_name_in_the_trail(store: Facing) -> None:
    fill(store, ANA, "tern")
    store.runs.start(NewRun(run_id="night"), user=ANA)
    for session_id in ("main", "root", "night"):
        store.sessions.create(NewSession(session_id=session_id), user=BOB)
    others = [("/api/agents/{agent_id:path}", "main"), ("agent", "main"), ("/r/{run_id:path}", "night")]
    for kind, name in [*others, ("/s/{session_id:path}", "main")]:
        store.audit.record("read", kind, name, actor="root", origin="198.51.100.7")
    store.audit.record("read", "/api/agents/{agent_id:path}", "main/x", actor=BOB)
    purged(store, BOB)
    trail = store.audit.list(limit=200).items
    told = {(entry.object_kind, entry.object_id) for entry in trail}
    assert told >= {*others, ("/api/agents/{agent_id:path}", "main/x")}
    assert ("/s/{session_id:path}", "main") not in told
    assert [entry.origin for entry in trail if entry.actor == "root"] == ["198.51.100.7"] * 4
    assert store.audit.verify() == ()


@covers("users.purge")
def test_others_keep_everything_and_the_words_of_a_shared_error_become_theirs(store: Facing) -> None:
    fill(store, BOB, WORD)
    fill(store, ANA, "tern")
    store.errors.record(NewError(error_type="Odd", error_message=f"{WORD} flew"), user=ANA)
    below = store.sessions.create(
        NewSession(session_id="below", title="of ana", parent_uuid=store.sessions.get(f"talk-{WORD}").id), user=ANA
    )
    store.messages.append(below.id, [NewMessage(role=USER, content="a goose")])
    store.sessions.create(NewSession(session_id="alike"), user=ANA)
    store.sessions.create(NewSession(session_id="alike"), user=BOB)
    kept = what_is_seen(store.scoped(user=ANA))
    store.audit.record("read", "/s/{session_id:path}", "alike", actor="root")
    store.audit.record("read", "/agents/{agent_id:path}", f"talk-{WORD}", actor="root")
    purged(store, BOB)
    assert store.audit.trail("/s/{session_id:path}", "alike"), "it may have been hers"
    assert store.audit.trail("/agents/{agent_id:path}", f"talk-{WORD}"), "an agent's name is nobody's"
    assert what_is_seen(store.scoped(user=ANA)) == kept
    assert [hit.session_id for hit in store.messages.search("tern")] == ["talk-tern"]
    assert [hit.session_id for hit in store.messages.search("goose")] == ["below"]
    assert store.sessions.get(below.id).title == "of ana", "hers, though below one of his"
    told = {group.error_message for group in store.errors.groups(query="kind:agent", include_resolved=True)}
    assert told == {f"{WORD} flew", "tern flew"}, "ana met it too, in these words"
    assert {group.error_message for group in store.errors.groups(query="kind:llm")} == {"", "tern"}
    assert [key.name for key in store.keys.list() if key.revoked_at is None] == ["key of tern"]


@covers("users.purge")
def test_whoever_writes_under_the_name_again_is_another_user(store: Facing) -> None:
    fill(store, BOB, WORD)
    old = store.users.find(BOB).id
    cursor = store.users.purge(BOB).cursor
    while store.users.find(BOB) is not None:
        cursor = store.users.purge(str(old), cursor=cursor).cursor
    # The rest of it goes on while they are back.
    fill(store, BOB, "linnet")
    while cursor is not None:
        cursor = store.users.purge(str(old), cursor=cursor).cursor
    back = store.users.find(BOB)
    assert back.id != old
    assert store.sessions.list(SessionFilter(user=BOB)).items[0].title == "Talk linnet"
    assert [len(store.messages.search(word)) for word in ("linnet", WORD)] == [1, 0]
    assert store.users.details(BOB).figures.runs == 2


def test_another_process_notices_within_a_minute_that_a_name_is_free(databases: Databases) -> None:
    path, clock = databases.create("sqlite"), HeldClock()
    with Store(path, clock=clock) as here, Store(path, clock=clock) as there:
        here.sessions.create(NewSession(session_id="before"), user=BOB)
        purged(there, BOB)
        clock.advance(seconds=61)
        made = here.sessions.create(NewSession(session_id="after"), user=BOB)
        assert made.user == BOB
        assert [user.external_id for user in here.users.list() if user.erased_at is None] == [BOB]
    databases.drop(path)


@covers("users.purge")
def test_a_purge_that_was_cut_off_is_begun_again_and_one_that_is_done_does_no_harm(store: Facing) -> None:
    fill(store, BOB, WORD)
    first = store.users.purge(BOB)
    assert first.cursor is not None
    store.users.purge(str(first.user), cursor=first.cursor)
    with pytest.raises(NotFound):
        store.users.purge(BOB)
    for _ in range(2):
        purged(store, str(first.user))
        assert WORD not in everything(store)
    assert store.audit.verify() == ()


@covers("users.purge")
def test_a_long_session_list_goes_in_several_batches(store: Facing) -> None:
    for number in range(45):
        store.sessions.create(NewSession(session_id=f"{WORD}-{number}", title=WORD), user=BOB)
    batches = purged(store, BOB)
    assert [batch.rows for batch in batches if batch.rows > 1] == [20, 20, 5]
    assert WORD not in everything(store)


@covers("users.purge")
def test_what_may_not_be_purged_is_refused_and_left_as_it_is(store: Facing) -> None:
    store.sessions.create(NewSession(session_id="s"))
    store.accounts.create("root@example.org", password_hash="$argon2id$x", role=Role.ADMIN)
    other = store.scoped(project="other")
    before = everything(store)
    with pytest.raises(InvalidValue, match="stands for nobody"):
        store.users.purge("unassigned")
    with pytest.raises(Conflict, match="administers this project"):
        store.users.purge("root@example.org")
    with pytest.raises(NotFound):
        store.users.purge("nobody@example.org")
    for cursor in ("x", "99.00", f"99.{'0' * 32}", f"-1.{'0' * 32}", "1.zz"):
        with pytest.raises(InvalidFilter, match="cursor"):
            store.users.purge("root@example.org", cursor=cursor)
    with pytest.raises(NotFound):
        other.users.purge("root@example.org")
    with pytest.raises(Forbidden):
        store.scoped(role=Role.WRITE).users.purge("root@example.org")
    assert everything(store) == before


@covers("users.purge")
def test_an_account_of_the_user_signs_nobody_in_any_more(store: Facing) -> None:
    made = store.accounts.create(BOB, password_hash="$argon2id$x", role=Role.WRITE)
    sign_in = store.sign_ins.start(made.id, expires_at=store.engine.maker.clock.now().replace(year=2099))
    assert store.sign_ins.find(sign_in.id) is not None
    purged(store, BOB)
    assert store.sign_ins.find(sign_in.id) is None
    assert WORD not in everything(store)


@covers("users.purge")
def test_an_account_of_another_project_too_goes_on_there_and_comes_in_here_no_more(store: Facing) -> None:
    made = store.accounts.create(BOB, password_hash="$argon2id$x", role=Role.WRITE)
    other = store.scoped(project="other", role=Role.OPERATOR)
    other.accounts.create(BOB, role=Role.WRITE)
    user = store.users.find(BOB).id
    purged(store, BOB)
    assert store.accounts.list().items == []
    sign_in = store.sign_ins.start(made.id, expires_at=store.engine.maker.clock.now().replace(year=2099))
    assert store.sign_ins.find(sign_in.id).user_uuid not in (None, user)
    assert sign_in.project_id == other.scope.project


@covers("users.purge", "imports.load")
def test_what_is_imported_once_more_stays_erased_and_is_no_unreadable_line(store: Facing) -> None:
    at = store.engine.maker.clock.now()
    tokens = TokenCounts(input=5, output=1)

    def batch(user: str) -> ImportBatch:
        run = RunFact(run_id=f"r-{user}", session_id="s", started_at=at, status=RunStatus.COMPLETED, finished_at=at)
        said = MessageFact(session_id="s", key="m", role=USER, content=WORD, created_at=at)
        call = CallFact(
            session_id="s", run_id=None, timestamp=at, model="gpt-4o", host="OpenAI", tokens=tokens, dedup_key=user
        )
        return ImportBatch(
            source="coder", path="f", user=user, sessions=(SessionFact(session_id="s", created_at=at, tool_name="c"),),
            runs=(run,), messages=((Identified(row_id=derived_id(at, "m", user)), said),),
            calls=((Identified(row_id=derived_id(at, "c", user)), call),),
        )  # fmt: skip

    store.imports.load(batch(BOB))
    before = store.usage.total()
    for row in (purged(store, BOB)[0].user, None):
        again = store.imports.load(batch(BOB))
        assert (again.sessions, again.runs, again.messages, again.calls, again.deleted) == (0, 0, 0, 0, 1)
        assert WORD not in everything(store).replace(BOB, "")
        if row is not None:
            purged(store, str(row))
    assert store.usage.total() == before
    hers = store.imports.load(batch(ANA))
    assert (hers.sessions, hers.runs, hers.messages) == (1, 1, 1), "another's session of the name is another"
    assert store.sessions.get("s").user == ANA


@covers("users.purge", "traces.record")
def test_traces_that_are_sent_once_more_stay_erased_but_under_a_new_key_of_the_users_own(store: Facing) -> None:
    sent = received(*conversation())
    count = store.traces.record(sent, derive).spans
    assert store.sessions.get("talk").user == "ana"
    before = store.usage.total()
    purged(store, "ana")
    again = store.traces.record(sent, derive)
    assert (again.spans, again.deleted) == (0, count)
    assert store.users.find("ana") is None
    assert store.usage.total() == before
    assert store.scoped(user="ana").traces.record(sent, derive).spans == count, "whoever comes by that name now"


def test_a_change_to_an_entry_of_the_trail_shows_though_a_name_was_taken_out_of_it(store: Facing) -> None:
    fill(store, BOB, WORD)
    purged(store, BOB)
    assert store.audit.verify() == ()
    entry = next(entry for entry in store.audit.list(limit=200) if entry.object_kind == "/u/{user_id:path}")
    assert entry.object_id.startswith("erased-")
    store.sql(f"UPDATE ar_audit_entries SET actor = 'somebody else' WHERE sequence = {entry.sequence}")
    assert store.audit.verify() == (entry.sequence,)


def test_after_a_vacuum_not_a_byte_of_the_files_says_a_word_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    with Store(str(path)) as store:
        fill(store, BOB, WORD)
        fill(store, ANA, "tern")
        assert isinstance(store.engine, SqliteEngine)
        store.engine.checkpoint()
        assert WORD.encode() in path.read_bytes()
        purged(store, BOB)
        compact(store.engine)
        for file in tmp_path.iterdir():
            assert WORD.encode() not in file.read_bytes(), file.name
        assert b"tern flew" in path.read_bytes()
        assert len(store.messages.search("tern")) == 1
