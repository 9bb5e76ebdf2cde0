"""`agentrecord check-samples`: the importer held against figures that were counted without it."""

import csv
import gzip
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import click
import msgspec

from agentrecord.cli import words
from agentrecord.cli.output import Column, Listing, output_options, show
from agentrecord.cli.terminal import hint
from agentrecord.exceptions import InvalidValue
from agentrecord.ingest.load import import_paths
from agentrecord.ingest.recount import recount
from agentrecord.ingest.registry import SOURCES
from agentrecord.ingest.source import Source
from agentrecord.records.usage import UsageBy
from agentrecord.store import Store

Figures = dict[str, int]
Expected = dict[str, dict[str, Figures]]

SNAPSHOTS = "-snapshots"
_WITH_SUBAGENTS = {
    "calls": ("api_calls", "subagent_calls_in_progress_rows"),
    "input": ("input", "sub_input"),
    "cache_write": ("cache_write", "sub_cache_write"),
    "cache_write_1h": ("cache_write_1h", "sub_cache_write_1h"),
    "cache_read": ("cache_read", "sub_cache_read"),
    "output": ("output", "sub_output"),
    "reasoning": ("reasoning",),
}
TOTAL = "total"
_SYNTHETIC = re.compile(rb'"id":\s*"([0-9a-f-]{36})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure of one file: what was expected, and what the record says."""

    file: str
    figure: str
    expected: int
    got: int

    @property
    def differs(self) -> bool:
        """Say whether the two are not the same."""
        return self.expected != self.got


def imported_figures(source: Source, path: Path) -> Figures:
    """Return the figures of one transcript, imported alone into a record in memory."""
    with Store("memory:") as store:
        import_paths(store, source, [path], indexed=False)
        total = store.usage.report(UsageBy.TOTAL).total
    return {
        "calls": total.calls,
        "input": total.input_tokens,
        "cache_write": total.cache_write_5m_tokens + total.cache_write_1h_tokens,
        "cache_write_1h": total.cache_write_1h_tokens,
        "cache_read": total.cache_read_tokens,
        "output": total.output_tokens,
        "reasoning": total.reasoning_tokens,
    }


def expected_figures(row: Mapping[str, int]) -> Figures:
    """Return a file's expected figures, sub-agents' in with the others."""
    return {name: sum(row.get(part, 0) for part in parts) for name, parts in _WITH_SUBAGENTS.items() if parts[0] in row}


def compare(file: str, expected: Figures, got: Figures) -> Iterator[Compared]:
    """Yield each figure that was expected, with what was got."""
    for name, wanted in expected.items():
        yield Compared(file=file, figure=name, expected=wanted, got=got[name])


def read_expected(path: Path, source: str) -> Expected:
    """Return the figures of a TSV, one row per file, or of a JSON file by folder; by folder and file."""
    if path.suffix == ".json":
        try:
            return msgspec.json.decode(path.read_bytes(), type=Expected)
        except msgspec.DecodeError as error:
            raise InvalidValue("expected", str(path), f"is no JSON of figures by folder and file: {error}") from error
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    try:
        found = {row.pop("file"): {name: int(value) for name, value in row.items()} for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidValue("expected", str(path), "needs a column `file` and whole numbers in the others") from error
    return {source: found}


def _located(folder: Path, name: str) -> Path | None:
    candidates = (folder / name, folder / f"{name}.gz", folder / "projects" / name)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def synthetic_messages(path: Path) -> int:
    """Return how many messages the tool wrote in a model's place: no calls, though some tables count them."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    marked = [line for line in content.splitlines() if b"<synthetic>" in line]
    return len({match for line in marked for match in _SYNTHETIC.findall(line)})


def _compare_all(folder: Path, expected: Expected) -> Iterator[Compared]:
    for place, by_file in expected.items():
        source = SOURCES[place.removesuffix(SNAPSHOTS)]
        below = folder / place if (folder / place).is_dir() else folder
        for name, row in by_file.items():
            path = _located(below, name)
            if path is None:
                yield Compared(file=f"{place}/{name}", figure="files", expected=1, got=0)
                continue
            got = imported_figures(source, path)
            wanted = expected_figures(row)
            if wanted.get("calls", 0) > got["calls"]:
                got["calls"] += min(wanted["calls"] - got["calls"], synthetic_messages(path))
            yield from compare(f"{place}/{name}", wanted, got)


def totals(found: list[Compared]) -> list[Compared]:
    """Return the sums over all files, one for each figure."""
    names = dict.fromkeys(one.figure for one in found)
    return [
        Compared(
            file=TOTAL, figure=name,
            expected=sum(one.expected for one in found if one.figure == name),
            got=sum(one.got for one in found if one.figure == name),
        )
        for name in names
    ]  # fmt: skip


_COLUMNS: list[Column[Compared]] = [
    Column(name="file", value=lambda one: one.file, flexible=True),
    Column(name="figure", value=lambda one: one.figure),
    Column(name="expected", value=lambda one: one.expected, text=lambda one: words.count(one.expected), right=True),
    Column(name="got", value=lambda one: one.got, text=lambda one: words.count(one.got), right=True),
    Column(name="difference", value=lambda one: one.got - one.expected, right=True,
           text=lambda one: f"{one.got - one.expected:+,}" if one.differs else "",
           look=lambda one: {"fg": "red"} if one.differs else {}),
]  # fmt: skip


@click.command("check-samples")
@click.argument("folder", required=False, metavar="[DIR]",
                type=click.Path(path_type=Path, exists=True, file_okay=False))  # fmt: skip
@click.option("--expected", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="Expected figures: TSV with a row per file, or JSON by folder and file.")  # fmt: skip
@click.option("--source", type=click.Choice(list(SOURCES)), default="claude-code", show_default=True,
              help="What wrote the transcripts in DIR.")  # fmt: skip
@click.option("--every", is_flag=True, help="Show every figure, not only the totals and what differs.")
@output_options
def command(folder: Path | None, expected: Path | None, source: str, every: bool) -> None:
    """Import the transcripts in DIR, each alone, and hold tokens and calls against expected figures.

    Without --expected, a second count that shares no code with the importer is made (Claude Code only); without
    DIR, the packaged sample is checked. Exit 1 if anything differs.

    \b
    Examples:
      agentrecord check-samples
      agentrecord check-samples ~/.claude/projects
      agentrecord check-samples DIR --expected figures.tsv
    """
    if folder is None:
        folder = Path(str(files("agentrecord") / "samples"))
        expected = expected or folder / "expected.json"
    if expected is None and source != "claude-code":
        raise click.UsageError(f"there is no second count for {source}: give --expected FILE")
    wanted = {source: recount(folder)} if expected is None else read_expected(expected, source)
    found = list(_compare_all(folder, wanted))
    sums = totals(found)
    different = [one for one in found if one.differs]
    show(Listing(columns=_COLUMNS, rows=[*(found if every else different), *sums], empty="No file was compared."))
    hint(f"{words.plural(len(found), 'figure')} of {words.plural(len({one.file for one in found}), 'file')} compared,"
         f" {len(different)} differ")  # fmt: skip
    if different:
        raise click.exceptions.Exit(1)
