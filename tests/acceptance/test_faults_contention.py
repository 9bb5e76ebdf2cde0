"""F3 and F4: many processes on one file, and checkpoints as dense as can be."""

from itertools import chain
from pathlib import Path

import pytest
from faults_processes import child
from faults_record import acknowledged, faults_of, turns_in

from agentrecord.engine.sqlite import SqliteEngine
from agentrecord.records.session import NewSession
from agentrecord.store import Store
from counts import count

TRIES = 3
"""Processes that other work kept from the processor are tried again; an unfair queue is unfair each time."""


def test_checkpoints_beside_a_writer_never_corrupt_the_file(tmp_path: Path) -> None:
    seconds, made = count(2, 3), {"turns": 0, "checkpoints": 0, "copies": 0}
    for round_ in range(count(3, 78)):
        path, copy, acks = tmp_path / f"r{round_}.db", tmp_path / "copy.db", tmp_path / f"acks{round_}"
        with Store(str(path)) as store:
            session = store.sessions.create(NewSession(session_id="s")).id
        with (
            child(tmp_path, "write", path, session, seconds, acks) as writer,
            child(tmp_path, "checkpoints", path, seconds) as first,
            child(tmp_path, "checkpoints", path, seconds) as second,
            child(tmp_path, "backups", path, seconds, copy) as copier,
        ):
            made["turns"] += writer.answer()["made"]
            made["checkpoints"] += first.answer()["made"] + second.answer()["made"]
            made["copies"] += copier.answer()["made"]
        with Store(str(path)) as store:
            assert faults_of(store, acknowledged(acks)) == []
        with Store(str(copy)) as copied:
            assert faults_of(copied, []) == []
    print(made)
    assert min(made.values()) > 0


@pytest.mark.alone
def test_sixteen_processes_write_one_file_without_an_error_and_fairly(tmp_path: Path) -> None:
    tries: list[tuple[float, float]] = []
    while len(tries) < TRIES and not any(map(is_fair, tries)):
        path, acks, seconds = tmp_path / f"{len(tries)}.db", tmp_path / f"acks{len(tries)}", count(6, 60)
        with child(tmp_path, "fleet", path, acks, 16, seconds) as fleet:
            members = fleet.answer()["members"]
        done = [member["done"] for member in members]
        longest = max(member["longest_s"] for member in members)
        print(f"turns {sum(done)}, each {min(done)} to {max(done)}, longest wait {longest * 1000:.0f} ms")
        assert [member["error"] for member in members if member["error"]] == []
        with Store(str(path)) as store:
            assert isinstance(store.engine, SqliteEngine)
            assert turns_in(store) == sum(done)
            assert faults_of(store, [*chain(*[acknowledged(Path(f"{acks}.{n}")) for n in range(16)])]) == []
        # Where other programs keep the processors busy as well, every write takes longer: then no wait may stand out.
        tries.append((longest / max(1.0, 20 * seconds / (sum(done) / 16)), min(done) / max(done)))
    assert any(map(is_fair, tries)), tries


def is_fair(measured: tuple[float, float]) -> bool:
    """Say whether no wait was too long, as a share of what is the most, and nobody got less than half of another."""
    longest, least = measured
    return longest < 1 and least > 0.5
