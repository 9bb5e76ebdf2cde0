"""How records show themselves: in a line where Python prints them, as a table in a notebook, as plain dicts.

The tables carry their style with them and no script; every value is escaped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from html import escape
from typing import Any  # `Any`: records hold values of many types, and are given as what they are

from agentrecord.records import lengths

UNKNOWN = "–"
NANOS_PER_DOLLAR = 1_000_000_000
_CELL = "padding:2px 10px 2px 0;text-align:{};border:0"
_BAR = {"run": "#7c858f", "phase": "#a9b0b8", "llm": "#1c379f", "tool": "#d8760e"}
_WHOLE = frozenset({"totals"})
"""Fields whose record is told as if it were a part of the one around it."""


def money(nanos: int | None) -> str:
    """Return nano-dollars as dollars: two decimals from a dollar up, four below, "no price" for None."""
    if nanos is None:
        return "no price"
    value = nanos / NANOS_PER_DOLLAR
    if abs(value) >= 1 or nanos == 0:
        return f"${value:,.2f}"
    return f"${value:.4f}" if abs(value) >= 0.0001 else "<$0.0001"


def duration(milliseconds: float | None) -> str:
    """Return a length of time; a dash for None."""
    return UNKNOWN if milliseconds is None else lengths.duration(milliseconds)


def cost(totals: Any) -> str:
    """Return what a sum of calls cost; a dash without calls, "no price" where none has one."""
    if not totals.calls:
        return UNKNOWN
    return money(None if totals.unpriced_calls == totals.calls else totals.cost_nanos)


def counted(number: int, noun: str) -> str:
    """Return how many there are of something."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def excludes(totals: Any) -> str:
    """Return which calls a sum of costs leaves out, nothing where none is."""
    return f"excludes {counted(totals.unpriced_calls, 'call')} without a price" if totals.unpriced_calls else ""


def line(kind: str, *parts: str | None) -> str:
    """Return a record in one line."""
    return f"<{kind} {' · '.join(' '.join(part.split()) for part in parts if part)}>"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], *, texts: int = 1) -> str:
    """Return rows as an HTML table; the first `texts` columns are texts, the others figures."""

    def cells(row: Sequence[object], name: str) -> str:
        sides = ["left" if place < texts else "right" for place in range(len(row))]
        return "".join(
            f'<{name} style="{_CELL.format(side)}">{escape(str(value))}</{name}>'
            for value, side in zip(row, sides, strict=True)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return (
        '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
        f'<caption style="text-align:left;caption-side:top"><strong>{escape(caption)}</strong></caption>'
        f"<thead><tr>{cells(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"
    )


def facts(caption: str, pairs: Iterable[tuple[str, object]]) -> str:
    """Return names and values as an HTML table; those without a value are left out."""
    known = [(name, value) for name, value in pairs if value not in (None, "")]
    return table(caption, ("", ""), known, texts=2)


def waterfall(rows: Iterable[tuple[str, int, str, str, str, float, float, bool]], more: int) -> str:
    """Return rows of kind, depth, name, time, cost, start, width (shares of the whole) and failure as a waterfall."""
    made = []
    for kind, depth, name, took, spent, start, width, failed in rows:
        colour = "#b42318" if failed else _BAR[kind]
        bar = f"margin-left:{start:.2%};width:{max(width, 0.003):.2%};height:9px;background:{colour}"
        label = f"{'✕ ' if failed else ''}{kind} {name}"
        made.append(
            f'<tr><td style="{_CELL.format("left")};padding-left:{depth * 14}px">{escape(label)}</td>'
            f'<td style="{_CELL.format("right")}">{escape(took)}</td>'
            f'<td style="{_CELL.format("right")}">{escape(spent)}</td>'
            f'<td style="border:0;width:340px"><div style="{bar}"></div></td></tr>'
        )
    rest = f"<p>{counted(more, 'more piece')} not shown.</p>" if more else ""
    return (
        '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums"><tbody>'
        f"{''.join(made)}</tbody></table>{rest}"
    )


def instant(at: datetime | None) -> str | None:
    """Return an instant to the second, in UTC."""
    return None if at is None else at.strftime("%Y-%m-%d %H:%M:%S UTC")


def as_dict(record: Any) -> dict[str, Any]:
    """Return a record as a flat dict: its fields and computed properties, those of records in it under their name."""
    found: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if is_dataclass(value):
            prefix = "" if field.name in _WHOLE else f"{field.name}_"
            found.update({prefix + name: inner for name, inner in as_dict(value).items()})
        else:
            found[field.name] = [as_dict(one) for one in value] if _holds_records(value) else value
    for name, member in vars(type(record)).items():
        if isinstance(member, property):
            found[name] = getattr(record, name)
    return found


def _holds_records(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and all(is_dataclass(one) for one in value)
