"""Scales of charts: at which round figures their lines are, and how they stay in sight beside what scrolls."""

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

LEFT, BOTTOM = 58, 24
"""How much room the scale at the left has, and what stands below the bars."""

NOTHING = Markup("")
RIGHT = 52
"""How much room the scale of lines over bars has, at the right."""
TIMES_MS = {
    1: "1 ms", 10: "10 ms", 100: "100 ms", 1_000: "1 s", 10_000: "10 s", 60_000: "1 min", 600_000: "10 min",
    3_600_000: "1 h", 36_000_000: "10 h", 240 * 3_600_000: "10 d", 2400 * 3_600_000: "100 d",
}  # fmt: skip
"""What the lines of a scale of times stand for, in milliseconds: each some ten times the one below."""


def scale(highest: int) -> tuple[int, int]:
    """Return the step between grid lines and the top of the scale: at most five lines, at round numbers."""
    if highest <= 0:
        return 1, 1
    rough = highest / 4
    power = 10 ** math.floor(math.log10(rough)) if rough >= 1 else 1
    step = next(int(power * factor) for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough and power * factor >= 1)
    return step, step * math.ceil(highest / step)


def alike(texts: Sequence[str]) -> Sequence[str]:
    """Return what a scale's lines are told by, without cents where no line needs them: $2, $4, $6."""
    if all(text.endswith(".00") or "." not in text for text in texts):
        return [text.removesuffix(".00") for text in texts]
    return texts


def time_scale(lowest: float, highest: float) -> Sequence[int]:
    """Return the lines of a scale from a time to another in milliseconds, each some ten times the one below."""
    known = tuple(TIMES_MS)
    first = min(sum(line <= lowest for line in known[1:]), len(known) - 2)
    last = max(first + 1, sum(line < highest for line in known[:-1]))
    return known[first : last + 1]


def share_of(time_ms: float, scale: Sequence[int]) -> float:
    """Return how high a time is on a scale (0–1), on which ten times as long is as far everywhere."""
    return min(math.log(max(time_ms, scale[0]) / scale[0]) / math.log(scale[-1] / scale[0]), 1.0)


def framed(
    drawing: Markup, left: Sequence[tuple[float, str]], right: Sequence[tuple[float, str]] = (), *, width: int,
    height: int, look: str = "", data: Markup = NOTHING,
) -> Markup:  # fmt: skip
    """Return a drawing between its scales, which stay in sight where it is wider than the screen and scrolls.

    A scale is a height and a text for each of its lines. It lies over the margin that the drawing leaves at that side.
    `data` is the attribute for scripts.
    """
    scales = [_scale(left, f"at-left of-{width}", LEFT, height, f'x="{LEFT - 8}" text-anchor="end"')]
    if right:
        scales.append(_scale(right, f"at-right of-{width}", RIGHT, height, 'x="8"'))
    return Markup(f'<div class="plot w{width} {look}"{data}>') + drawing + Markup("".join(scales) + "</div>")


def _scale(levels: Sequence[tuple[float, str]], look: str, width: int, height: int, place: str) -> str:
    texts = "".join(f'<text class="tick" {place} y="{y + 4:.1f}">{escape(text)}</text>' for y, text in levels)
    return (
        f'<svg class="scale {look}" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<rect class="ground" width="{width}" height="{height - BOTTOM + 2}"/>{texts}</svg>'
    )
