"""The roles that the drills run as processes of their own: `python faults_children.py ROLE …`."""

import asyncio
import itertools
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from uuid import UUID

from faults_record import CALL, Turn, faults_of, turns_in

from agentrecord.engine import ballast
from agentrecord.engine.sqlite import SqliteEngine
from agentrecord.exceptions import AgentRecordError
from agentrecord.ingest.load import import_paths
from agentrecord.ingest.registry import SOURCES
from agentrecord.pricing import builtin
from agentrecord.records.session import NewSession
from agentrecord.store import AsyncStore, Store


class Acks:
    """A file that holds what was acknowledged; each line is there before the next write begins."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, turn: Turn) -> None:
        """Note a turn as acknowledged."""
        os.write(self._fd, turn.line())


def append(url: str, session: str, acks: str, how: str) -> None:
    """Append turns until killed: alone, from threads, or from callers on an event loop."""
    noted = Acks(acks)
    if how == "async":
        asyncio.run(_append_awaited(url, UUID(session), noted))
    store = Store(url)
    threads = [
        threading.Thread(target=_append_turns, args=(store, UUID(session), noted))
        for _ in range(4 if how == "threads" else 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _append_turns(store: Store, session: UUID, noted: Acks) -> None:
    while True:
        turn = Turn.fresh()
        noted.note(turn.stored_as(store.messages.append(session, turn.messages(), calls=[CALL])))


async def _append_awaited(url: str, session: UUID, noted: Acks) -> None:
    store = AsyncStore(url)

    async def caller() -> None:
        while True:
            turn = Turn.fresh()
            noted.note(turn.stored_as(await store.messages.append(session, turn.messages(), calls=[CALL])))

    await asyncio.gather(*[caller() for _ in range(16)])


def fleet(url: str, acks: str, size: str, seconds: str) -> None:
    """Open a record that is not there yet from many processes at once, and write until time is up."""
    # As every import before the fork: sixteen programs that start at once would measure their own starting.
    builtin.load()
    start = time.monotonic() + 0.5
    readers = []
    for number in range(int(size)):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(reader)
            os.write(writer, json.dumps(_member(url, acks, number, start, float(seconds))).encode())
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    answers = []
    for reader in readers:
        with os.fdopen(reader) as file:
            answers.append(json.loads(file.read() or '{"error": "died without a word"}'))
    print(json.dumps({"members": answers}))


def _member(url: str, acks: str, number: int, start: float, seconds: float) -> dict[str, object]:
    """Write from `start` on, for `seconds`; tell how often, and the longest wait for one write."""
    done, longest = 1, 0.0
    noted = Acks(f"{acks}.{number}")
    try:
        while time.monotonic() < start:
            time.sleep(0.001)
        store = Store(url)
        session = store.sessions.create(NewSession(session_id=f"s{number}")).id
        first = Turn.fresh()
        noted.note(first.stored_as(store.messages.append(session, first.messages(), calls=[CALL])))
        opened = time.monotonic()
        while time.monotonic() < opened + seconds:
            turn, began = Turn.fresh(), time.monotonic()
            stored = store.messages.append(session, turn.messages(), calls=[CALL])
            longest = max(longest, time.monotonic() - began)
            noted.note(turn.stored_as(stored))
            done += 1
        store.close()
    except (AgentRecordError, OSError) as error:
        return {"done": done, "longest_s": longest, "error": repr(error)}
    return {"done": done, "longest_s": longest, "opened_s": opened - start, "error": None}


def checkpoints(path: str, seconds: str) -> None:
    """Checkpoint as fast as can be, until time is up."""
    store = Store(path)
    assert isinstance(store.engine, SqliteEngine)
    until, made = time.monotonic() + float(seconds), 0
    while time.monotonic() < until:
        store.engine.checkpoint()
        made += 1
        # A checkpoint of nothing takes no time: without a pause this loop has the lock again before the writer wakes.
        time.sleep(0.0002)
    store.close()
    print(json.dumps({"made": made}))


def backups(path: str, seconds: str, copy: str) -> None:
    """Copy the record again and again, until time is up."""
    store = Store(path)
    assert isinstance(store.engine, SqliteEngine)
    until, made = time.monotonic() + float(seconds), 0
    while time.monotonic() < until:
        Path(copy).unlink(missing_ok=True)
        store.engine.backup(Path(copy))
        made += 1
    store.close()
    print(json.dumps({"made": made}))


def write(path: str, session: str, seconds: str, acks: str) -> None:
    """Append turns until time is up."""
    store, noted = Store(path), Acks(acks)
    until, made = time.monotonic() + float(seconds), 0
    while time.monotonic() < until:
        turn = Turn.fresh()
        store.messages.append(UUID(session), turn.messages(), calls=turn.calls())
        noted.note(turn)
        made += 1
    store.close()
    print(json.dumps({"made": made}))


def limited(path: str, session: str, acks: str, bytes_: str) -> None:
    """Append turns while no file may grow beyond `bytes_`; tell the error that this ends with."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(bytes_), int(bytes_)))
    noted, done, errors = Acks(acks), 0, []
    try:
        store = Store(path)
        while len(errors) < 3:
            turn = Turn.fresh()
            try:
                store.messages.append(UUID(session), turn.messages(), calls=turn.calls())
            except AgentRecordError as error:
                errors.append(type(error).__name__)
                continue
            noted.note(turn)
            done += 1
    except AgentRecordError as error:
        errors.append(f"open: {type(error).__name__}")
    print(json.dumps({"done": done, "errors": errors}), flush=True)
    os._exit(0)


def filled(folder: str) -> None:
    """Fill the disk that `folder` lies on, and purge, twice: blocking, then awaited. Tell how each step went."""
    ballast.BALLAST_BYTES = 2 * 1024 * 1024
    store = Store(f"{folder}/record.db")
    assert isinstance(store.engine, SqliteEngine)
    store.engine.keep_ballast()
    sessions = [store.sessions.create(NewSession(session_id=f"s{n}")).id for n in range(3)]
    acked: list[Turn] = []
    told: dict[str, object] = {"first": _fill(store, sessions, acked)}
    told["second"] = _fill(store, sessions, acked)
    told["faults"] = faults_of(store, acked)
    told["found"], told["acked"] = turns_in(store), len(acked)
    told["hits"] = len(store.messages.search("nightly").items)
    told["purged"] = store.sessions.delete("s0")
    told["ballast_again"] = Path(f"{folder}/record.db.ballast").exists()
    more: list[Turn] = []
    told["third"] = _fill(store, sessions[1:], more)
    told["after"] = len(more)
    told["purged_awaited"] = asyncio.run(_purge(store, "s1"))
    last: list[Turn] = []
    told["fourth"], told["last"] = _fill(store, sessions[2:], last), len(last)
    told["recount"] = [str(difference) for difference in store.usage.recount()]
    told["integrity"] = store.engine.maintain("PRAGMA integrity_check")[0][0]
    store.close()
    print(json.dumps(told))


def _fill(store: Store, sessions: list[UUID], acked: list[Turn]) -> str:
    """Append until that fails, and return how."""
    for place in itertools.count():
        turn = Turn.fresh()
        try:
            store.messages.append(sessions[place % len(sessions)], turn.messages(), calls=turn.calls())
        except AgentRecordError as error:
            return type(error).__name__
        acked.append(turn)
    return "never"


async def _purge(store: Store, session: str) -> int:
    return await AsyncStore(engine=store.engine).sessions.delete(session)


def opened_by_nobody(path: str) -> None:
    """Open and write as a user who owns nothing; tell what was refused."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    try:
        with Store(path) as store:
            store.sessions.create(NewSession(session_id="x"))
    except AgentRecordError as error:
        print(json.dumps({"error": type(error).__name__, "said": str(error)}))
    except OSError as error:
        print(json.dumps({"error": f"not ours: {error!r}", "said": str(error)}))
    else:
        print(json.dumps({"error": None, "said": ""}))


def import_folder(url: str, folder: str, progress: str) -> None:
    """Import a folder of transcripts, noting each batch that was stored."""
    with Path(progress).open("ab", buffering=0) as noted:
        import_paths(Store(url), SOURCES["claude-code"], [Path(folder)], progress=lambda _: noted.write(b"."))
    print("{}")


ROLES = {
    role.__name__: role for role in (append, fleet, checkpoints, backups, write, limited, filled, opened_by_nobody,
        import_folder)
}  # fmt: skip

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
