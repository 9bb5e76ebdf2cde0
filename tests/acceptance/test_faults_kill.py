"""F1: a process that writes is killed at any moment; what it was told is stored is there, and whole."""

import random
import time
from pathlib import Path

import pytest
from faults_processes import child
from faults_record import acknowledged, faults_of

from agentrecord.records.session import NewSession
from agentrecord.store import Store
from counts import count
from databases import Databases

HOW = ("alone", "threads", "async")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_killed_writer_loses_nothing_that_was_acknowledged(engine: str, databases: Databases, tmp_path: Path) -> None:
    url = databases.create(engine)
    with Store(url) as store:
        session = store.sessions.create(NewSession(session_id="s")).id
    acks, chance, reopening = tmp_path / "acks", random.Random(7), []
    for kill in range(count(6, 60)):
        before = len(acknowledged(acks))
        with child(tmp_path, "append", url, session, acks, HOW[kill % len(HOW)]) as writer:
            writer.until(lambda before=before: len(acknowledged(acks)) > before + 10)
            writer.kill_after(chance.uniform(0, 0.3))
        began = time.monotonic()
        with Store(url) as store:
            store.sessions.get(session)
            reopening.append(time.monotonic() - began)
            assert faults_of(store, acknowledged(acks)) == []
    print(f"{engine}: {len(acknowledged(acks))} turns acknowledged, reopened within {max(reopening):.3f} s")
    assert max(reopening) < 1.0
    databases.drop(url)


def test_a_process_killed_while_it_makes_the_record_leaves_one_that_opens(tmp_path: Path) -> None:
    chance = random.Random(11)
    for kill in range(count(3, 30)):
        path = tmp_path / f"record{kill}.db"
        with child(tmp_path, "fleet", path, tmp_path / f"acks{kill}", 1, 30) as opener:
            opener.until(path.exists)
            opener.kill_after(chance.uniform(0, 0.01))
        with Store(str(path)) as store:
            store.sessions.create(NewSession(session_id="after"))
            assert faults_of(store, []) == []
