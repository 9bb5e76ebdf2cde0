"""Transcripts into the record: streaming, idempotent, restartable.

A file is read in batches, each stored in one transaction; only when its end is reached is it noted as read. Killed in
between, the next import reads it again, and what is there already stays as it is.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event

from agentrecord.exceptions import Conflict, InvalidValue, NotFound
from agentrecord.ids import UserId
from agentrecord.ingest.batches import Batcher
from agentrecord.ingest.source import Reader, Source
from agentrecord.records.imports import ImportedFile
from agentrecord.records.transcript import Fact, ImportCounts, RunFact, Unreadable
from agentrecord.store import Store

CLOCK_SLACK = timedelta(minutes=10)
"""How far ahead of this computer's clock a transcript may be dated, before it cannot be right."""

SHOWN_LINES = 5
EMPTY = Unreadable(line=1, reason="the file is empty; see whether it was copied whole, and import it again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an import has come."""

    path: Path
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int


@dataclass(slots=True, kw_only=True)
class ImportSummary:
    """What an import did: counts, what was skipped and why, and the first lines that could not be read."""

    source: str
    dry_run: bool = False
    files: int = 0
    files_unchanged: int = 0
    bytes: int = 0
    counts: ImportCounts = field(default_factory=ImportCounts)
    skipped: dict[str, int] = field(default_factory=dict)
    unreadable: list[tuple[Path, Unreadable]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)

    def note(self, path: Path, batcher: Batcher) -> None:
        """Count a file that was read."""
        self.files += 1
        for reason, count in batcher.skipped.items():
            self.skipped[reason] = self.skipped.get(reason, 0) + count
        if self.counts.deleted:
            self.skipped["facts of sessions that were deleted here"] = self.counts.deleted


Report = Callable[[Progress], None]


def default_paths(source: Source, environment: Mapping[str, str], home: Path) -> list[Path]:
    """Return the places where a tool keeps its transcripts, those that exist."""
    return [path for path in source.roots(environment, home) if path.exists()]


def transcripts(source: Source, paths: Sequence[Path]) -> list[Path]:
    """Return the transcripts at or below `paths`, each once; raise `NotFound` for a path that is not there."""
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise NotFound("file or folder", path)
        for file in source.files(path):
            found.setdefault(file.resolve())
    return list(found)


def import_paths(
    store: Store,
    source: Source,
    paths: Sequence[Path],
    *,
    user: str | None = None,
    progress: Report | None = None,
    dry_run: bool = False,
    indexed: bool = True,
) -> ImportSummary:
    """Import the transcripts at or below `paths`; files unchanged since they were last read are left alone."""
    return Importer(store, source, user=user, dry_run=dry_run, indexed=indexed).run(paths, progress=progress)


def watch(
    store: Store,
    source: Source,
    paths: Sequence[Path],
    *,
    stop: Event,
    poll_s: float = 1.0,
    user: str | None = None,
    indexed: bool = True,
) -> Iterator[ImportSummary]:
    """Import, and go on importing what is added, until `stop` is set; yield a summary whenever something came."""
    importer = Importer(store, source, user=user, indexed=indexed, keeps_readers=True)
    while not stop.is_set():
        summary = importer.run([path for path in paths if path.exists()])
        if summary.counts.added or summary.counts.unreadable or summary.failed:
            yield summary
        stop.wait(poll_s)


@dataclass(slots=True)
class _Open:
    """A transcript that is being watched: its reader stands where it stopped."""

    reader: Reader
    batcher: Batcher
    head: str
    running: set[str] = field(default_factory=set)


class Importer:
    """Imports one source's transcripts into one store, as often as it is run."""

    def __init__(
        self,
        store: Store,
        source: Source,
        *,
        user: str | None = None,
        dry_run: bool = False,
        indexed: bool = True,
        keeps_readers: bool = False,
    ) -> None:
        """Take the store and the source; `keeps_readers` reads on in grown files where it last stopped."""
        self._store = store
        self._source = source
        self._user = user if user is not None or store.scope.user is None else _name_of(store, store.scope.user)
        self._dry_run = dry_run
        self._indexed = indexed
        self._keeps_readers = keeps_readers
        self._open: dict[Path, _Open] = {}
        self._previewed: set[object] = set()

    def run(self, paths: Sequence[Path], *, progress: Report | None = None) -> ImportSummary:
        """Import whatever is new at or below `paths`."""
        summary = ImportSummary(source=self._source.name, dry_run=self._dry_run)
        known = {file.path: file for file in self._store.imports.files(self._source.name, user=self._user)}
        work: list[tuple[Path, os.stat_result]] = []
        for path in transcripts(self._source, paths):
            status = path.stat()
            if _unchanged(known.get(str(path)), status):
                summary.files_unchanged += 1
            else:
                work.append((path, status))
        total = sum(status.st_size for _, status in work)
        done = 0
        for place, (path, status) in enumerate(work):

            def tell(position: int, path: Path = path, place: int = place, done: int = done) -> None:
                if progress is not None:
                    at = min(done + position, total)
                    progress(
                        Progress(path=path, files_done=place, files_total=len(work), bytes_done=at, bytes_total=total)
                    )

            tell(0)
            try:
                self._file(path, status, summary, tell)
            except OSError as error:
                summary.failed.append((path, f"{error.strerror or error}: see that the file can be read"))
            done += status.st_size
        summary.bytes = done
        return summary

    def _file(self, path: Path, status: os.stat_result, summary: ImportSummary, tell: Callable[[int], None]) -> None:
        opened = self._reader(path, status)
        unreadable = 0
        for facts in opened.batcher.batches(opened.reader.read()):
            for fact in facts:
                if isinstance(fact, RunFact):
                    (opened.running.discard if fact.status.is_final else opened.running.add)(fact.run_id)
                if isinstance(fact, Unreadable):
                    unreadable += 1
                    if len(summary.unreadable) < SHOWN_LINES:
                        summary.unreadable.append((path, fact))
            summary.counts.add(self._load(opened.batcher, facts))
            tell(opened.reader.position)
        if not status.st_size:
            summary.unreadable.append((path, EMPTY))
            summary.counts.add(self._load(opened.batcher, [EMPTY]))
        summary.note(path, opened.batcher)
        if self._dry_run:
            return
        self._store.imports.finish_file(
            self._source.name,
            str(path),
            size_bytes=status.st_size,
            # What is still running, or ends in mid-line, is read again, until it is known how it ended.
            modified_ns=-1 if opened.running or _is_cut(path, status, opened) else status.st_mtime_ns,
            fingerprint=opened.head,
            facts=opened.batcher.facts,
            unreadable=unreadable,
            user=self._user,
        )

    def _reader(self, path: Path, status: os.stat_result) -> _Open:
        head = _head(path)
        latest = self._store.engine.maker.clock.now() + CLOCK_SLACK
        kept = self._open.get(path)
        if kept is not None and kept.head == head and kept.reader.position <= status.st_size:
            kept.batcher.skipped.clear()
            kept.reader.latest = latest
            return kept
        opened = _Open(
            self._source.open(path, latest=latest),
            Batcher(self._source.name, str(path), self._user, self._indexed),
            head,
        )
        if self._keeps_readers:
            self._open[path] = opened
        return opened

    def _load(self, batcher: Batcher, facts: list[Fact]) -> ImportCounts:
        batch = batcher.batch(facts)
        if self._dry_run:
            return self._store.imports.preview(batch, self._previewed)
        try:
            return self._store.imports.load(batch)
        except (InvalidValue, Conflict, NotFound) as error:
            return self._load_parts(batcher, facts, error)

    def _load_parts(self, batcher: Batcher, facts: list[Fact], error: Exception) -> ImportCounts:
        """Find the fact that cannot be stored by halves, keep it as unreadable, and store all others."""
        if len(facts) == 1:
            (fact,) = facts
            line = getattr(fact, "line", 0)
            told = Unreadable(line=line, reason=f"{error}: mend it and import again", excerpt=_named(fact))
            return self._store.imports.load(batcher.batch([told]))
        counts = ImportCounts()
        middle = len(facts) // 2
        for part in (facts[:middle], facts[middle:]):
            counts.add(self._load(batcher, part))
        return counts


def _name_of(store: Store, user: UserId) -> str:
    return store.users.get(user).external_id


def _named(fact: Fact) -> str:
    """Return what a fact is and which one, without its content."""
    told = (getattr(fact, name, None) for name in ("session_id", "run_id", "key", "call_ref", "dedup_key"))
    return " ".join([type(fact).__name__, *(str(value)[:80] for value in told if value)])


def _unchanged(known: ImportedFile | None, status: os.stat_result) -> bool:
    return known is not None and (known.size_bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns)


def _is_cut(path: Path, status: os.stat_result, opened: _Open) -> bool:
    return path.suffix == ".jsonl" and opened.reader.position < status.st_size


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.readline(4096)).hexdigest()[:32]


def import_sample(store: Store, folder: Path, sources: Mapping[str, Source]) -> list[ImportSummary]:
    """Import a folder that holds one folder of transcripts for each source, by the source's name."""
    return [
        import_paths(store, source, [folder / name]) for name, source in sources.items() if (folder / name).exists()
    ]
