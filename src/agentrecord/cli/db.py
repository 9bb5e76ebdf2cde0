"""`agentrecord db`: look after the database."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from agentrecord.cli import db_checks, settings, words
from agentrecord.cli.db_checks import outcome
from agentrecord.cli.opening import opened_raw, reading, writing
from agentrecord.cli.output import Column, Listing, output_options, show, wants_json, write_json
from agentrecord.cli.terminal import hint, say
from agentrecord.cli.waiting import working
from agentrecord.engine.sqlite import SqliteEngine
from agentrecord.engine.upkeep import copy_of, faults_of_file, put_in_place, set_aside
from agentrecord.exceptions import AgentRecordError, Conflict, StoreUnavailable
from agentrecord.migrations import LATEST, current_version, migrate
from agentrecord.store import Store
from agentrecord.store.doctor import Finding, Level, examine
from agentrecord.store.roles import SCHEMAS, grant
from agentrecord.store.upkeep import (
    audit_faults,
    broken_references,
    compact,
    damage,
    is_empty,
    rows_by_table,
    search_faults,
    wrong_figures,
)

PARTIAL, ASIDE = ".partial", ".before-restore"
SEES_ALL = "as a superuser or a role with BYPASSRLS: any other is shown no row, and the tool says so and stops"
BY_SERVER = "the server's own checks hold here"


@click.group("db")
def command() -> None:
    """Look after the database: sizes, checks, backups.

    \b
    Examples:
      agentrecord db doctor
      agentrecord db backup /backups/record.db
      agentrecord db verify || echo damaged
    """


def _finish(found: Sequence[Finding]) -> None:
    show(db_checks.listing(found))
    if any(finding.level is Level.FAILED for finding in found):
        raise click.exceptions.Exit(1)


@command.command("info", short_help="Engine, sizes, rows per table, schema.")
@output_options
def info() -> None:
    """Show the engine, its settings and sizes, the schema's version, and the rows of each table.

    \b
    Example:
      agentrecord db info --json
    """
    with reading() as store:
        facts = {**store.engine.describe(), "schema_version": current_version(store.engine)}
        rows = rows_by_table(store.engine)
    if wants_json():
        write_json({**facts, "rows": rows})
        return
    pairs = [*facts.items(), *((f"rows.{name}", count) for name, count in rows.items())]
    show(Listing(
        columns=[
            Column(name="name", value=lambda pair: pair[0]),
            Column(name="value", value=lambda pair: pair[1], text=_told),
        ],
        rows=pairs,
    ))  # fmt: skip


def _told(pair: tuple[str, object]) -> str:
    name, value = pair
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return words.size(value) if name.endswith("_bytes") else f"{value:,}"


@command.command("migrate", short_help="Bring the schema up to date.")
def migrate_() -> None:
    """Bring the database up to this program's schema; every other command does so too.

    \b
    Example:
      agentrecord --db postgresql:///record db migrate
    """
    with opened_raw() as engine:
        before = current_version(engine)
        steps = migrate(engine, at=engine.maker.clock.now())
    for step in steps:
        say(f"{step.version} {step.name}")
    hint(f"schema {before} → {LATEST}" if steps else f"schema {LATEST}: nothing to do")


@command.command("grant", short_help="Let a PostgreSQL role run the store.")
@click.argument("role", metavar="ROLE")
def grant_(role: str) -> None:
    """Give an existing PostgreSQL role what the store needs to run, and no more; again after an upgrade.

    Run it as the role that owns the tables. ROLE must be one that row-level security binds: no superuser, without
    BYPASSRLS, and not the tables' owner.

    \b
    Example:
      agentrecord db grant agentrecord_app
    """
    with opened_raw() as engine:
        say(grant(engine, role))
    hint("it may read and write the record, each transaction within its scope, and change no table")


def _checks(store: Store) -> Iterator[Finding]:
    yield from outcome("figures", wrong_figures(store), "every counter and daily figure is what its rows say")
    yield from outcome("references", broken_references(store.engine), "every reference leads somewhere")


@command.command("check", short_help="Recount every figure, follow references.")
@output_options
def check() -> None:
    """Count every figure anew from its rows, and follow every reference; exit 1 if one is wrong.

    \b
    Example:
      agentrecord db check
    """
    with reading() as store, working("counting"):
        found = list(_checks(store))
    _finish(found)


@command.command("verify", short_help="Check everything.")
@output_options
def verify() -> None:
    """Check everything: the file, the search index, figures, references and the audit chain; exit 1 on a fault.

    \b
    Example:
      agentrecord db verify && agentrecord db backup record-copy.db
    """
    with reading() as store, working("verifying"):
        is_file = isinstance(store.engine, SqliteEngine)
        found = [
            *outcome("file", damage(store.engine), "SQLite finds no damage" if is_file else BY_SERVER),
            *_checks(store),
            *outcome("audit", audit_faults(store), "the chain is whole"),
        ]
    with writing() as store:
        right = "the index fits its messages" if is_file else BY_SERVER
        found.extend(outcome("search", search_faults(store.engine), right))
    _finish(found)


@command.command("doctor", short_help="What this database can promise.")
@output_options
def doctor() -> None:
    """Show what this database can promise here, and what stands against it; exit 1 on a fault.

    \b
    Example:
      agentrecord db doctor
    """
    with reading() as store:
        found = list(examine(store.engine))
    _finish(found)


def _dump_command(tool: str, path: Path) -> str:
    url = settings.current().shown_url
    if tool == "pg_dump":
        schemas = " ".join(f"--schema={schema}" for schema in SCHEMAS)
        return f"pg_dump --format=custom {schemas} --file={path} '{url}' ({SEES_ALL})"
    return f"pg_restore --clean --if-exists --dbname='{url}' {path} ({SEES_ALL})"


def _file_engine(store: Store, tool: str, path: Path) -> SqliteEngine:
    if not isinstance(store.engine, SqliteEngine):
        raise StoreUnavailable(f"this record is no file; for PostgreSQL run: {_dump_command(tool, path)}")
    return store.engine


@command.command("backup", short_help="Write a verified copy.")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False), metavar="PATH")
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
def backup(target: Path, force: bool) -> None:
    """Write a consistent copy to PATH while others go on writing; it is verified before it gets its name.

    \b
    Example:
      agentrecord db backup record-copy.db
    """
    if target.exists() and not force:
        raise Conflict("file", target, "is there already; --force replaces it")
    if not target.absolute().parent.is_dir():
        raise AgentRecordError(f"there is no folder {target.absolute().parent}")
    with reading() as store:
        engine = _file_engine(store, "pg_dump", target)
        if target.exists() and target.samefile(engine.path):
            raise Conflict("file", target, "is the record itself; name another file")
        fresh = target.with_name(target.name + PARTIAL)
        fresh.unlink(missing_ok=True)
        with working("copying"):
            engine.backup(fresh)
    with working("verifying the copy"):
        faults = faults_of_file(fresh)
    if faults:
        fresh.unlink(missing_ok=True)
        raise AgentRecordError(f"the copy is not whole, nothing was kept: {'; '.join(faults[:3])}")
    put_in_place(fresh, target)
    say(f"{target}")
    hint(f"{words.size(target.stat().st_size)}, verified")


def _close_old(path: Path, *, force: bool) -> Path | None:
    """Set the record that is there aside, if there is one; raise `Conflict` if it holds something."""
    if not path.exists():
        return None
    if path.stat().st_size:
        with Store(str(path)) as store:
            if not is_empty(store.engine) and not force:
                raise Conflict("record", path, "holds something; --force replaces it and keeps it as .before-restore")
    return set_aside(path, ASIDE)


@command.command("restore", short_help="Put a backup in the record's place.")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False), metavar="PATH")
@click.option("--force", is_flag=True, help="Replace a record that holds something; it is kept beside it.")
def restore(source: Path, force: bool) -> None:
    """Put a backup in the record's place, after verifying it; the old record is kept as .before-restore.

    \b
    Example:
      agentrecord db restore record-copy.db
    """
    target = settings.current().path
    if target is None:
        raise StoreUnavailable(f"this record is no file; for PostgreSQL run: {_dump_command('pg_restore', source)}")
    with working("verifying the backup"):
        faults = faults_of_file(source)
    if faults:
        raise AgentRecordError(f"{source} is no whole backup: {'; '.join(faults[:3])}")
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        raise Conflict("file", source, "is the record itself; name another file")
    fresh = target.with_name(target.name + PARTIAL)
    copy_of(source, fresh)
    try:
        kept = _close_old(target, force=force)
    except AgentRecordError:
        fresh.unlink(missing_ok=True)
        raise
    put_in_place(fresh, target)
    say(f"{target}")
    if kept is not None:
        hint(f"the old record is kept as {kept}")


@command.command("vacuum", short_help="Give free space back to the disk.")
def vacuum() -> None:
    """Give the space of what was deleted back to the disk; writers wait meanwhile.

    Afterwards no byte of what was deleted is left in the record's files.

    \b
    Example:
      agentrecord db vacuum
    """
    with writing() as store:
        engine = store.engine
        if not isinstance(engine, SqliteEngine):
            raise StoreUnavailable(
                "a PostgreSQL server vacuums by itself; to do it now:"
                f" psql -c 'VACUUM ANALYZE' '{settings.current().shown_url}'"
            )
        before = engine.path.stat().st_size
        with working("giving space back"):
            compact(engine)
        after = engine.path.stat().st_size
    say(f"{words.size(before)} before, {words.size(after)} after")
