"""What a script needs of a chart: the name and the sum of each bar, and what asks for its stretch of time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

BETWEEN = " · "
"""What stands between a bar's name and the rest in each title of a chart: a script finds a bar's parts by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one bar says as a whole: its name, its sum in words, and the `from` and `to` of its stretch of time."""

    label: str
    total: str = ""
    span: tuple[str, str] | None = None


def data_of(readings: Sequence[Reading], *, left: float, right: float) -> Markup:
    """Return the attribute that tells a script a chart's bars, which share the room from `left` to `right` (0–1).

    A day's `from` and `to` are its name, so that they are not said again.
    """
    rows: list[list[str]] = []
    for one in readings:
        row = [one.label, one.total]
        if one.span is not None and one.span != (one.label, one.label):
            row.extend(one.span)
        rows.append(row)
    told = {"left": round(left, 4), "right": round(right, 4), "bars": rows}
    if readings and all(one.span is not None for one in readings):
        told["spans"] = True
    written = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return Markup(f' data-chart="{escape(written)}"')
