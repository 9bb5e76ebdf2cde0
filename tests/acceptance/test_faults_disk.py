"""F5 and F6: the disk is full, or a file may not grow: every refusal reaches the caller, nothing told is lost."""

import os
import shutil
from pathlib import Path

import pytest
from faults_processes import child
from faults_record import acknowledged, faults_of

from agentrecord.engine import ballast
from agentrecord.engine.ballast import Ballast
from agentrecord.records.session import NewSession
from agentrecord.store import Store
from counts import count

DISK = 'mount -t tmpfs -o size=8m,mode=777 tmpfs {folder} && exec "$@"'


def test_a_full_disk_refuses_writes_keeps_reads_and_can_be_purged(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.fail("a disk of 8 MB is needed: run as root, with unshare (util-linux) installed")
    folder = tmp_path / "disk"
    folder.mkdir()
    alone = ["unshare", "-m", "sh", "-c", DISK.format(folder=folder), "sh"]
    with child(tmp_path, "filled", folder, before=alone) as filled:
        told = filled.answer()
    print(told)
    assert (told["first"], told["second"], told["third"], told["fourth"]) == ("StorageFull",) * 4
    assert told["faults"] == []
    assert told["found"] == told["acked"] > 0
    assert told["hits"] > 0
    assert told["purged"] > 0
    assert told["ballast_again"]
    assert told["after"] > 0
    assert told["purged_awaited"] > 0
    assert told["last"] > 0
    assert told["recount"] == []
    assert told["integrity"] == "ok"


def test_a_file_that_may_not_grow_loses_nothing_acknowledged(tmp_path: Path) -> None:
    sizes = [256 * 1024 + step * 77_777 for step in range(count(5, 40))]
    refused = 0
    for size in sizes:
        path, acks = tmp_path / f"record{size}.db", tmp_path / f"acks{size}"
        with Store(str(path)) as store:
            session = store.sessions.create(NewSession(session_id="s")).id
        with child(tmp_path, "limited", path, session, acks, size) as limited:
            told = limited.answer()
        assert len(acknowledged(acks)) == told["done"]
        assert len(told["errors"]) == 3 or told["errors"][0].startswith("open: "), told
        refused += len(told["errors"])
        with Store(str(path)) as store:
            assert faults_of(store, acknowledged(acks)) == []
            store.sessions.create(NewSession(session_id="after"))
    print(f"{len(sizes)} limits, {refused} refusals")


def test_a_ballast_is_laid_by_only_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Ballast(tmp_path / "kept")
    kept.lay_again()
    assert not kept.free()
    kept.lay()
    assert (tmp_path / "kept").stat().st_size == ballast.BALLAST_BYTES
    assert kept.free()
    kept.lay_again()
    assert (tmp_path / "kept").exists()
    monkeypatch.setattr(ballast, "BALLAST_BYTES", 1 << 60)
    Ballast(tmp_path / "huge").lay()
    assert not (tmp_path / "huge").exists()
