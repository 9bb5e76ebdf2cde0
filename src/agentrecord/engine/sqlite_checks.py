"""What is looked at before a SQLite file is used: whose it is, where it lies, and which SQLite reads it."""

import sqlite3
from pathlib import Path

from agentrecord.exceptions import SchemaMismatch, StoreUnavailable

APPLICATION_ID = 0x41524543
"""Marks the file as ours: "AREC"."""

_FIRST_FIXED_VERSIONS = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph"})


def wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Say whether this SQLite has the WAL-reset bug, which corrupts a file whose checkpoints overlap."""
    if version < (3, 7, 0):
        return False
    newest = _FIRST_FIXED_VERSIONS[0]
    if version >= newest:
        return False
    return not any(version[:2] == fixed[:2] and version >= fixed for fixed in _FIRST_FIXED_VERSIONS[1:])


def refuse_foreign_file(driver: sqlite3.Connection, path: Path) -> None:
    """Raise `SchemaMismatch` unless the file is empty or ours; nothing in it is touched."""
    try:
        (application_id,) = driver.execute("PRAGMA application_id").fetchone()
        (tables,) = driver.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise SchemaMismatch(f"{path} is not a SQLite database ({error}); name another file with --db") from error
    if application_id not in (0, APPLICATION_ID) or (application_id == 0 and tables):
        raise SchemaMismatch(f"{path} belongs to another program; name another file with --db")


def refuse_network_file_system(path: Path) -> None:
    """Raise `StoreUnavailable` where file locks cannot be trusted."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return
    best, kind = "", ""
    target = str(path.absolute().parent)
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(" ")
        if len(fields) > 2 and target.startswith(fields[1]) and len(fields[1]) > len(best):
            best, kind = fields[1], fields[2]
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StoreUnavailable(
            f"{path} lies on a network file system ({kind}), where SQLite's locks fail; use a local disk or PostgreSQL"
        )
