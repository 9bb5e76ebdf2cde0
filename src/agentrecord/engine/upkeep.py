"""Looking after a SQLite file that nobody writes to: is it whole, and how does it safely take another's place."""

import os
import shutil
import sqlite3
from pathlib import Path

from agentrecord.engine.errors import translated
from agentrecord.engine.sqlite_checks import refuse_foreign_file
from agentrecord.exceptions import AgentRecordError, StoreUnavailable

COMPANIONS = ("-wal", "-shm")
"""What SQLite keeps beside a file while somebody has it open."""


def faults_of_file(path: Path) -> list[str]:
    """Return what is wrong with a SQLite file that nobody has open; empty if it is a whole record of ours."""
    if not path.is_file():
        return [f"there is no file {path}"]
    try:
        with translated():
            # `immutable` reads the file as it lies, and leaves no files beside it.
            driver = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
            try:
                refuse_foreign_file(driver, path)
                found = [row[0] for row in driver.execute("PRAGMA integrity_check") if row[0] != "ok"]
                broken = driver.execute("PRAGMA foreign_key_check").fetchall()
                found.extend(f"{table} refers to a row of {parent} that is not there" for table, _, parent, _ in broken)
                if driver.execute("SELECT 1 FROM sqlite_master WHERE name = 'ar_schema'").fetchone() is None:
                    found.append("it holds no record")
            finally:
                driver.close()
    except AgentRecordError as error:
        return [str(error)]
    return found


def is_open_elsewhere(path: Path) -> bool:
    """Say whether another process has a closed-by-us file open: its write-ahead log outlives our closing."""
    return path.with_name(path.name + "-wal").exists()


def put_in_place(fresh: Path, target: Path) -> None:
    """Let a finished file take `target`'s name, so that a crash leaves the one or the other."""
    with fresh.open("rb+") as file:
        os.fsync(file.fileno())
    fresh.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def copy_of(source: Path, target: Path) -> None:
    """Copy a file that nobody writes to, readable by its owner only."""
    shutil.copyfile(source, target)
    target.chmod(0o600)


def set_aside(path: Path, suffix: str) -> Path:
    """Give a closed record another name, which is not taken yet, and return that."""
    if is_open_elsewhere(path):
        raise StoreUnavailable(f"another process has {path} open: stop it first (agentrecord serve, import --watch?)")
    kept, number = path.with_name(path.name + suffix), 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}{suffix}-{number}")
    path.rename(kept)
    for companion in COMPANIONS:
        path.with_name(path.name + companion).unlink(missing_ok=True)
    return kept
