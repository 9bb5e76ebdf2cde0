"""The colours of the pages: readable, and told apart by everybody, computed from the style sheet itself.

Contrast is as in WCAG 2.2 (1.4.3, 1.4.11). Colour vision deficiencies are simulated as by Machado, Oliveira, Fernandes
("A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009), at severity 1.0, in linear RGB.
Distances are CIE 1976 ΔE*ab in CIELAB under D65 (IEC 61966-2-1 for sRGB).
"""

import re
from itertools import combinations

import pytest

from agentrecord.dashboard import views

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

SIMULATIONS: dict[str, Matrix] = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
TO_XYZ: Matrix = (
    (0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041),
)  # fmt: skip
WHITE: Vector = (0.95047, 1.0, 1.08883)
SERIES = ("s0", "s1", "s2", "s3", "s4", "s5")


def themes() -> dict[str, dict[str, str]]:
    """Return the colours of each theme by name, as the style sheet has them."""
    style = (views.TEMPLATES.parent / "static" / "style.css").read_text(encoding="utf-8")
    found = [dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r"\{([^{}]*)\}", style)]
    light, by_system, by_choice = [block for block in found if "bg" in block]
    return {"light": light, "dark by the system": by_system, "dark by choice": by_choice}


def linear(colour: str) -> Vector:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return _linear(red), _linear(green), _linear(blue)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def times(matrix: Matrix, vector: Vector) -> Vector:
    first, second, third = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return first, second, third


def contrast(one: str, other: str) -> float:
    high, low = sorted((times(TO_XYZ, linear(colour))[1] for colour in (one, other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def lab(colour: Vector) -> Vector:
    x, y, z = (_curve(value / white) for value, white in zip(times(TO_XYZ, colour), WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _curve(value: float) -> float:
    return value ** (1 / 3) if value > (6 / 29) ** 3 else value / (3 * (6 / 29) ** 2) + 4 / 29


def distance(one: Vector, other: Vector) -> float:
    return sum((a - b) ** 2 for a, b in zip(lab(one), lab(other), strict=True)) ** 0.5


def seen(colour: str, simulation: Matrix | None) -> Vector:
    if simulation is None:
        return linear(colour)
    red, green, blue = (min(1.0, max(0.0, part)) for part in times(simulation, linear(colour)))
    return red, green, blue


def test_the_formulas_give_what_their_sources_give() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21, abs=0.01)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert lab(linear("#ff0000")) == pytest.approx((53.24, 80.09, 67.2), abs=0.05)
    assert distance(linear("#ffffff"), linear("#000000")) == pytest.approx(100, abs=0.05)
    for simulation in SIMULATIONS.values():
        assert seen("#ffffff", simulation) == pytest.approx((1, 1, 1), abs=0.001)
    red, green, _ = seen("#ff0000", SIMULATIONS["protanopia"])
    assert red / green < 2, "who lacks red cones sees pure red as a dark yellow"


def test_both_ways_into_the_dark_have_the_same_colours() -> None:
    found = themes()
    assert found["dark by the system"] == found["dark by choice"]
    assert found["light"].keys() == found["dark by choice"].keys()


@pytest.mark.parametrize("theme", ["light", "dark by choice"])
def test_text_and_graphics_stand_out_from_their_ground(theme: str) -> None:
    colours = themes()[theme]
    grounds = ("bg", "surface")
    texts = [(name, ground) for name in ("text", "muted", "link", "bad", "ok", "warn") for ground in grounds]
    texts += [("bad", "bad-bg"), ("warn", "warn-bg"), ("muted", "chosen"), ("text", "chosen"), ("text", "mark")]
    graphics = [(name, "bg") for name in ("control", "grey", "link", *SERIES)]
    poor = [pair for pair in texts if contrast(*(colours[name] for name in pair)) < 4.5]
    poor += [pair for pair in graphics if contrast(*(colours[name] for name in pair)) < 3]
    assert poor == []


@pytest.mark.parametrize("theme", ["light", "dark by choice"])
@pytest.mark.parametrize("simulation", [None, *SIMULATIONS])
def test_series_are_told_apart_whatever_the_eyes(theme: str, simulation: str | None) -> None:
    colours, matrix = themes()[theme], None if simulation is None else SIMULATIONS[simulation]
    near = {
        (one, other): round(apart, 1)
        for one, other in combinations(SERIES, 2)
        if (apart := distance(seen(colours[one], matrix), seen(colours[other], matrix))) < 20
    }
    assert near == {}
