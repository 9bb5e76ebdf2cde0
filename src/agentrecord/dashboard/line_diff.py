"""Two texts held beside each other, line by line."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

MOST_LINES = 2_000
MOST_CHARS = 200_000
CONTEXT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of two texts: in both, only in the first (`gone`), only in the second (`come`), or left out (`skip`)."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDiff:
    """Two texts line by line; `note` says so where they are equal, missing, or too long to be compared."""

    title: str
    lines: Sequence[Line] = ()
    note: str = ""


def diff(title: str, a: str | None, b: str | None) -> TextDiff:
    """Return two texts line by line, equal stretches shortened."""
    if not a and not b:
        return TextDiff(title=title, note="Neither has one.")
    if a == b:
        return TextDiff(title=title, note="The same in both.", lines=_shortened([Line(kind="same", text=a or "")]))
    old, new = (a or "").splitlines(), (b or "").splitlines()
    if max(len(old), len(new)) > MOST_LINES or len(a or "") + len(b or "") > MOST_CHARS:
        return TextDiff(title=title, note="Too long to be compared line by line.")
    lines: list[Line] = []
    for kind, start, end, first, last in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if kind == "equal":
            lines.extend(Line(kind="same", text=text) for text in old[start:end])
            continue
        lines.extend(Line(kind="gone", text=text) for text in old[start:end])
        lines.extend(Line(kind="come", text=text) for text in new[first:last])
    return TextDiff(title=title, lines=_shortened(lines))


def _shortened(lines: Sequence[Line]) -> list[Line]:
    """Return lines without those in the middle of a long stretch that both texts have."""
    found: list[Line] = []
    same: list[Line] = []
    for line in [*lines, None]:
        if line is not None and line.kind == "same":
            same.append(line)
            continue
        if len(same) > 2 * CONTEXT + 1:
            left_out = len(same) - 2 * CONTEXT
            skip = Line(kind="skip", text=f"{left_out:,} equal lines")
            same = [*same[:CONTEXT], skip, *same[-CONTEXT:]]
        found.extend(same)
        same = []
        if line is not None:
            found.append(line)
    return found
