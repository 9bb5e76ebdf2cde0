"""SQLite's functions that look for a text in a text, anew: in time that grows with both, not with their product.

SQLite looks whether its time is over between the steps of a query, never within a function: `instr` of a long text in
a longer one could take hours, and nothing could end it.
"""

import sqlite3
from collections.abc import Callable

Given = str | bytes | int | float | None
ENDLESS = frozenset({"json_patch", "jsonb_patch"})
"""Functions of that kind which have no substitute here."""


def bind_bounded(driver: sqlite3.Connection) -> None:
    """Let a connection's queries use these functions in place of SQLite's own."""
    for name, arguments, function in _FUNCTIONS:
        driver.create_function(name, arguments, function, deterministic=True)


def _text(given: str | bytes | float) -> str:
    return given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)


def _instr(given: Given, part: Given) -> int | None:
    if given is None or part is None:
        return None
    if isinstance(given, bytes) and isinstance(part, bytes):
        return given.find(part) + 1
    return _text(given).find(_text(part)) + 1


def _replace(given: Given, part: Given, other: Given) -> Given:
    if given is None or part is None:
        return None
    if not _text(part):
        return given
    return None if other is None else _text(given).replace(_text(part), _text(other))


def _trimming(*, left: bool, right: bool) -> Callable[..., str | None]:
    def trim(given: Given, characters: Given = " ") -> str | None:
        if given is None or characters is None:
            return None
        text, dropped = _text(given), set(_text(characters))
        start, end = 0, len(text)
        while left and start < end and text[start] in dropped:
            start += 1
        while right and end > start and text[end - 1] in dropped:
            end -= 1
        return text[start:end]

    return trim


_FUNCTIONS: tuple[tuple[str, int, Callable[..., Given]], ...] = (
    ("instr", 2, _instr),
    ("replace", 3, _replace),
    *[
        (name, arguments, _trimming(left=name != "rtrim", right=name != "ltrim"))
        for name in ("trim", "ltrim", "rtrim")
        for arguments in (1, 2)
    ],
)
