"""The roles that the drills run as processes of their own: `python faults_children.py ROLE …`."""

import asyncio
import json
import os
import resource
import signal
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from uuid import UUID

from faults_record import Turn

from agentrecord.engine.sqlite import SqliteEngine
from agentrecord.exceptions import AgentRecordError
from agentrecord.ingest.load import import_paths
from agentrecord.ingest.registry import SOURCES
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
        store.messages.append(session, turn.messages(), calls=turn.calls())
        noted.note(turn)


async def _append_awaited(url: str, session: UUID, noted: Acks) -> None:
    store = AsyncStore(url)

    async def caller() -> None:
        while True:
            turn = Turn.fresh()
            await store.messages.append(session, turn.messages(), calls=turn.calls())
            noted.note(turn)

    await asyncio.gather(*[caller() for _ in range(16)])


def fleet(url: str, acks: str, size: str, seconds: str) -> None:
    """Open a record that is not there yet from many processes at once, and write until time is up."""
    # As every other import before the fork: sixteen programs that start at once would measure their own starting.
    import_module("agentrecord.pricing.builtin")
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
    done, longest = 0, 0.0
    noted = Acks(f"{acks}.{number}")
    try:
        while time.monotonic() < start:
            time.sleep(0.001)
        store = Store(url)
        session = store.sessions.create(NewSession(session_id=f"s{number}")).id
        opened = time.monotonic()
        while time.monotonic() < opened + seconds:
            turn, began = Turn.fresh(), time.monotonic()
            store.messages.append(session, turn.messages(), calls=turn.calls())
            longest = max(longest, time.monotonic() - began)
            noted.note(turn)
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


def import_folder(url: str, folder: str, progress: str) -> None:
    """Import a folder of transcripts, noting each batch that was stored."""
    with Path(progress).open("ab", buffering=0) as noted:
        import_paths(Store(url), SOURCES["claude-code"], [Path(folder)], progress=lambda _: noted.write(b"."))
    print("{}")


ROLES = {
    role.__name__: role for role in (append, fleet, checkpoints, backups, write, limited, import_folder)
}  # fmt: skip

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
