"""The page of settings: where the record is kept, what can be promised there, and what the viewer prefers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentrecord.codec.sizes import size
from agentrecord.engine import Engine
from agentrecord.migrations import LATEST, current_version
from agentrecord.store.doctor import Finding, examine
from agentrecord.store.upkeep import estimated_rows

KEYS_COOKIE = "agentrecord-keys"
KEYS = ("on", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where the record is kept: facts by name, and about how many rows each table has."""

    facts: Sequence[tuple[str, str]]
    rows: Mapping[str, int | None]
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsPage:
    """The settings; `storage` is None for who does not administer, `is_examined` says whether checks were asked."""

    storage: Storage | None
    is_examined: bool
    keys: str


def keys_of(asked: Mapping[str, str], cookies: Mapping[str, str]) -> str:
    """Return whether single keys do something, as it was asked for, now or before: on or off."""
    wanted = asked.get("keys") or cookies.get(KEYS_COOKIE, "on")
    return wanted if wanted in KEYS else "on"


def storage(engine: Engine, *, is_examined: bool) -> Storage:
    """Return where a record is kept; blocks while the database is asked."""
    told = engine.describe()
    facts = [("database", _product(told)), ("address", engine.url)]
    if "file" in told:
        facts.append(("file", str(told["file"])))
    if "size_bytes" in told:
        facts.append(("size", _bytes(told["size_bytes"])))
    if "wal_bytes" in told:
        facts.append(("write-ahead log", _bytes(told["wal_bytes"])))
    facts.append(("durability", _durability(told)))
    facts.append(("schema", f"version {current_version(engine)}; this program's is {LATEST}"))
    findings = list(examine(engine)) if is_examined else []
    return Storage(facts=facts, rows=estimated_rows(engine), findings=findings)


def _product(told: Mapping[str, object]) -> str:
    names = {"sqlite": "SQLite", "memory": "SQLite, in memory", "postgresql": "PostgreSQL"}
    version = str(told.get("version", "")).split(",")[0].removeprefix("PostgreSQL ").split(" on ")[0]
    return f"{names[str(told['engine'])]} {version}".strip()


def _durability(told: Mapping[str, object]) -> str:
    if told["engine"] == "postgresql":
        return f"synchronous_commit {told['synchronous_commit']}, fsync {told['fsync']}"
    return f"synchronous {told['synchronous']}"


def _bytes(value: object) -> str:
    return size(float(value)) if isinstance(value, int | float) else str(value)
