"""One listing in every format: a table for people, TSV, CSV, JSON and JSON lines for programs."""

import csv
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar  # `Any`: decorators keep whatever they decorate
from uuid import UUID

import click
import msgspec

from agentrecord.cli.terminal import FORM, Terminal, cells, clip, hint, one_line, out, pad, say
from agentrecord.codec.jsonable import to_json

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

EXIT_EMPTY = 3
GAP = 2
MIN_FLEXIBLE = 12
LEAST_NAME = 28
"""What is left of a name at least where it is cut; programs get all of it."""
_FORM, _STRICT = FORM, "agentrecord.fail_if_empty"
_ENCODER = msgspec.json.Encoder()


class Form(StrEnum):
    """How a listing is printed."""

    TABLE = "table"
    PLAIN = "plain"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[T]):
    """A column: `value` is what programs read, `text` what people read.

    Columns of the highest `priority` go first where the terminal is narrow, those of 0 stay. A `flexible` column
    may be cut, to no less than `least` wide.
    """

    name: str
    value: Callable[[T], object]
    text: Callable[[T], str] | None = None
    priority: int = 0
    right: bool = False
    flexible: bool = False
    least: int = MIN_FLEXIBLE
    look: Callable[[T], Mapping[str, Any]] | None = None
    title: str | None = None

    @property
    def heading(self) -> str:
        """Return what stands over the column for people."""
        return self.name.replace("_", " ") if self.title is None else self.title

    def shown(self, row: T) -> str:
        """Return the row's text for people."""
        return one_line(self.text(row) if self.text else plain(self.value(row)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """Rows to print: `footer` is the row of totals, `document` what `--json` prints, `record` a row's JSON."""

    columns: Sequence[Column[T]]
    rows: Sequence[T]
    footer: Mapping[str, str] = field(default_factory=dict)
    document: object | None = None
    record: Callable[[T], object] | None = None
    empty: str = "Nothing to show."


def fields_of(rows: Sequence[T], *names: str) -> Listing[T]:
    """Return rows as a listing of their own fields, for commands that otherwise print text."""

    def column(name: str) -> Column[T]:
        return Column(name=name, value=lambda row: getattr(row, name))

    return Listing(columns=[column(name) for name in names], rows=rows)


def _keep(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value:
            context.meta[key] = value

    return keep


def output_options(command: F) -> F:
    """Give a command the options that choose its format."""
    told = {
        Form.JSON: "One JSON document.",
        Form.JSONL: "One JSON object per line.",
        Form.CSV: "CSV with a header.",
        Form.PLAIN: "Tab-separated, as a pipe gets it.",
        Form.TABLE: "The table that a terminal gets.",
    }
    empty = click.option(
        "--fail-if-empty", is_flag=True, expose_value=False, callback=_keep(_STRICT), help="Exit 3 without rows."
    )
    decorated = empty(command)
    for form, text in reversed(told.items()):
        decorated = click.option(
            f"--{form}", f"form_{form}", flag_value=str(form), default=None, expose_value=False,
            callback=_keep(_FORM), help=text,
        )(decorated)  # fmt: skip
    return decorated


def chosen_form() -> Form:
    """Return the format that was asked for; else a table on a terminal and TSV elsewhere."""
    named = click.get_current_context().meta.get(_FORM)
    return Form(named) if named else Form.TABLE if out().is_tty else Form.PLAIN


def is_plain_asked() -> bool:
    """Say whether tab-separated rows were asked for by name: what reads as a text goes into a pipe as a text."""
    return click.get_current_context().meta.get(_FORM) == Form.PLAIN


def wants_json() -> bool:
    """Say whether JSON was asked for."""
    return chosen_form() in (Form.JSON, Form.JSONL)


def write_json(value: object) -> None:
    """Print a record, or anything made of plain values and records, as one line of JSON."""
    say(encode(value))


def encode(value: object) -> str:
    """Return a record, or anything made of plain values and records, as JSON."""
    return _ENCODER.encode(_raw(value)).decode()


def _raw(value: object) -> object:
    if isinstance(value, dict):
        return {key: _raw(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_raw(item) for item in value]
    if isinstance(value, Decimal):
        return msgspec.Raw(f"{value:f}".encode())
    return msgspec.Raw(to_json(value)) if is_dataclass(value) or isinstance(value, datetime) else value


def plain(value: object) -> str:
    """Return a value as programs read it: full figures, ISO times, nothing for None."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        case Decimal():
            return f"{value:f}"
        case str() | int() | float() | UUID():
            return str(value)
        case _:
            return encode(value)


def show(listing: Listing[T]) -> None:
    """Print a listing in the format that was asked for; exit 3 if it is empty and may not be."""
    match chosen_form():
        case Form.JSON:
            write_json({"items": [_record(listing, row) for row in listing.rows]} if listing.document is None else
                       listing.document)  # fmt: skip
        case Form.JSONL:
            _write_all(encode(_record(listing, row)) for row in listing.rows)
        case Form.CSV:
            _write_all(_csv(listing))
        case Form.PLAIN:
            _write_all(_tsv(listing))
        case Form.TABLE:
            _write_all(table(listing, out()))
    if not listing.rows:
        tell_nothing(listing.empty)


def tell_nothing(text: str) -> None:
    """Say that nothing was found, beside the data; exit 3 if that may not be."""
    if not wants_json():
        hint(text)
    if click.get_current_context().meta.get(_STRICT):
        raise click.exceptions.Exit(EXIT_EMPTY)


def _record(listing: Listing[T], row: T) -> object:
    return row if listing.record is None else listing.record(row)


def _write_all(lines: Iterable[str]) -> None:
    text = "\n".join(lines)
    if text:
        say(text)


def _csv(listing: Listing[T]) -> Iterator[str]:
    yield csv_line([column.name for column in listing.columns])
    for row in listing.rows:
        yield csv_line([plain(column.value(row)) for column in listing.columns])


def csv_line(values: Sequence[str]) -> str:
    """Return a row of CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()


def _tsv(listing: Listing[T]) -> Iterator[str]:
    yield "\t".join(column.name for column in listing.columns)
    for row in listing.rows:
        yield "\t".join(one_line(plain(column.value(row))) for column in listing.columns)


def table(listing: Listing[T], terminal: Terminal) -> Iterator[str]:
    """Yield a table's lines: columns dropped from the right, then the flexible ones cut, until it fits.

    Columns that hold nothing at all are left out, but those of priority 0.
    """
    if not listing.rows:
        return
    texts = {c.name: [c.shown(row) for row in listing.rows] for c in listing.columns}
    widths = {
        c.name: max(map(cells, [c.heading, listing.footer.get(c.name, ""), *texts[c.name]])) for c in listing.columns
    }
    told = [c for c in listing.columns if not c.priority or listing.footer.get(c.name) or any(texts[c.name])]
    columns = fitting(told, widths, terminal.width)
    head = [pad(c.heading, widths[c.name], right=c.right) for c in columns]
    yield terminal.style(_joined(head), dim=True)
    for place, row in enumerate(listing.rows):
        found = []
        for c in columns:
            text = pad(clip(texts[c.name][place], widths[c.name], mark=terminal.glyph("more")), widths[c.name],
                       right=c.right)  # fmt: skip
            found.append(terminal.style(text, **c.look(row)) if c.look else text)
        yield _joined(found)
    if listing.footer:
        foot = [pad(listing.footer.get(c.name, ""), widths[c.name], right=c.right) for c in columns]
        yield terminal.style(_joined(foot), bold=True)


def _joined(found: Sequence[str]) -> str:
    return (" " * GAP).join(found).rstrip()


def fitting(columns: Sequence[Column[T]], widths: dict[str, int], room: int) -> list[Column[T]]:
    """Return the columns that fit into `room`, and cut the flexible ones' `widths` to it."""
    kept = list(columns)

    def needed(least: bool) -> int:
        sizes = [min(widths[c.name], c.least) if least and c.flexible else widths[c.name] for c in kept]
        return sum(sizes) + GAP * (len(kept) - 1)

    while needed(least=True) > room and any(c.priority for c in kept):
        worst = max(c.priority for c in kept)
        kept.remove([c for c in kept if c.priority == worst][-1])
    while (over := needed(least=False) - room) > 0:
        widest = max((c for c in kept if c.flexible), key=lambda c: widths[c.name] - c.least, default=None)
        if widest is None or widths[widest.name] <= widest.least:
            break
        widths[widest.name] = max(widest.least, widths[widest.name] - over)
    return kept


def flush() -> None:
    """Send what was printed on its way, for commands that follow something."""
    sys.stdout.flush()
