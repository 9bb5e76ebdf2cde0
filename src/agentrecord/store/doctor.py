"""What the engine can promise here, and what stands against it: each as a finding."""

import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any  # `Any`: an engine describes itself in whatever terms it has

from agentrecord.codec.sizes import size
from agentrecord.engine import Engine
from agentrecord.migrations import LATEST, current_version
from agentrecord.store.roles import MEND, bypass_of

BIG_WAL_BYTES = 256 * 1024 * 1024
LOW_SPACE_BYTES = 500_000_000
NO_SPACE_BYTES = 50_000_000


class Level(StrEnum):
    """How grave a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    told: str


def examine(engine: Engine) -> Iterator[Finding]:
    """Yield what the engine can promise here, and what stands against it."""
    told = dict(engine.describe())
    yield Finding(check="engine", level=Level.OK, told=f"{told['engine']} {str(told.get('version', '')).split(',')[0]}")
    version = current_version(engine)
    fits = Level.OK if version == LATEST else Level.FAILED
    yield Finding(check="schema", level=fits, told=f"version {version}, this program's is {LATEST}")
    if told["engine"] == "sqlite":
        yield from _sqlite(told)
    elif told["engine"] == "postgresql":
        yield from _postgresql(told)
        yield _isolation(engine)


def _sqlite(told: dict[str, Any]) -> Iterator[Finding]:
    path = Path(told["file"])
    if told["wal_reset_bug"]:
        yield Finding(
            check="WAL-reset bug", level=Level.WARNING,
            told="this SQLite can corrupt a file whose checkpoints overlap; the write ticket keeps ours apart, other"
            " programs do not know it. Mend: a Python with SQLite 3.51.3, 3.50.7 or 3.44.6 or newer",
        )  # fmt: skip
    else:
        yield Finding(check="WAL-reset bug", level=Level.OK, told="mended in this SQLite")
    journal = told["journal_mode"]
    yield Finding(
        check="durability", level=Level.OK if journal == "wal" else Level.FAILED,
        told=f"journal_mode {journal}, synchronous {told['synchronous']}: what was acknowledged survives power loss",
    )  # fmt: skip
    yield Finding(check="file system", level=Level.OK, told="local, as SQLite's locks need it")
    yield _wal(told["wal_bytes"])
    yield _space(path)
    yield from _companions(path, float(told["longest_ticket_wait_ms"]))


def _wal(length: int) -> Finding:
    if length > BIG_WAL_BYTES:
        return Finding(
            check="write-ahead log", level=Level.WARNING,
            told=f"{size(length)}: a reader holds it open; end long reads, then `agentrecord db vacuum`",
        )  # fmt: skip
    return Finding(check="write-ahead log", level=Level.OK, told=size(length))


def _space(path: Path) -> Finding:
    free = shutil.disk_usage(path.parent).free
    level = Level.FAILED if free < NO_SPACE_BYTES else Level.WARNING if free < LOW_SPACE_BYTES else Level.OK
    return Finding(check="disk space", level=level, told=f"{size(free)} free")


def _companions(path: Path, longest_wait_ms: float) -> Iterator[Finding]:
    mode = path.stat().st_mode
    shared = mode & (stat.S_IRWXG | stat.S_IRWXO)
    yield Finding(
        check="permissions", level=Level.WARNING if shared else Level.OK,
        told=f"{stat.filemode(mode)}" + (f": others can read it; chmod 600 {path}" if shared else ""),
    )  # fmt: skip
    ballast = path.with_name(path.name + ".ballast")
    kept = size(ballast.stat().st_size) if ballast.exists() else "none yet; `agentrecord serve` lays it by"
    yield Finding(check="ballast", level=Level.OK, told=kept)
    ticket = path.with_name(path.name + ".lock")
    told = f"{ticket.name}, waited for {longest_wait_ms:.0f} ms" if ticket.exists() else "not taken yet"
    yield Finding(check="write ticket", level=Level.OK, told=told)


def _isolation(engine: Engine) -> Finding:
    bypass = bypass_of(engine)
    if bypass is None:
        return Finding(check="isolation", level=Level.OK, told="row-level security binds this role to its scope")
    return Finding(
        check="isolation", level=Level.WARNING, told=f"row-level security does not bind here: {bypass}. Mend: {MEND}"
    )


def _postgresql(told: dict[str, Any]) -> Iterator[Finding]:
    commit, fsync = told["synchronous_commit"], told["fsync"]
    safe = commit not in ("off",) and fsync == "on"
    yield Finding(
        check="durability", level=Level.OK if safe else Level.FAILED,
        told=f"synchronous_commit {commit}, fsync {fsync}"
        + ("" if safe else ": a crash loses what was acknowledged; set both to on"),
    )  # fmt: skip
    standby = told["synchronous_standby_names"] or "none"
    yield Finding(check="synchronous standby", level=Level.OK, told=str(standby))
    yield Finding(check="size", level=Level.OK, told=size(float(told["size_bytes"])))
    yield Finding(check="role", level=Level.OK, told=str(told["role"]))
