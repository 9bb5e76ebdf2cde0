"""What the terminal can show, and how wide a text is there."""

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO  # `Any`: click's styles are keywords of several types

import click

from agentrecord.cli import settings

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_SPACES = re.compile(r"\s+")
FORM = "agentrecord.form"
"""Where a command's context keeps the format that was asked for."""

_IN_ASCII = str.maketrans({"–": "-", "·": "|", "…": "~", "→": ">"})


def cells(text: str) -> int:
    """Return how many columns `text` takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(map(_cell, text))


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clean(text: str) -> str:
    """Return `text` without the control characters that would steer the terminal; lines stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\t", "    "))


def one_line(text: str) -> str:
    """Return `text` on one line, every run of blanks as one."""
    return _SPACES.sub(" ", _CONTROL.sub(" ", text)).strip()


def clip(text: str, width: int, *, mark: str = "…") -> str:
    """Return `text` cut to `width` columns, with a mark where something is missing."""
    if cells(text) <= width:
        return text
    room, kept = width - cells(mark), []
    for character in text:
        room -= _cell(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + mark if width >= cells(mark) else mark[:width]


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return `text` filled with blanks to `width` columns."""
    blanks = " " * max(0, width - cells(text))
    return blanks + text if right else text + blanks


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """Where output goes to, and what it can show."""

    is_tty: bool
    width: int
    color: bool
    unicode: bool

    def style(self, text: str, **look: Any) -> str:
        """Return `text` in a look (`fg`, `bold`, `dim`), or as it is where there is no colour."""
        return click.style(text, **look) if self.color and any(look.values()) else text

    def glyph(self, name: str) -> str:
        """Return a sign by its name, in ASCII where nothing else can be shown."""
        fancy, plain = _GLYPHS[name]
        return fancy if self.unicode else plain

    def bar(self, share: float, width: int) -> str:
        """Return a bar of blocks, `share` (0–1) of `width` columns long."""
        eighths = round(max(0.0, min(1.0, share)) * width * 8)
        if not self.unicode:
            return "#" * round(eighths / 8)
        return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


_GLYPHS = {
    "ok": ("✓", "+"),
    "error": ("✕", "x"),
    "running": ("◔", "~"),
    "waiting": ("⏸", "="),
    "cancelled": ("⊘", "o"),
    "none": ("–", "-"),
    "more": ("…", "..."),
    "fold": ("▸", ">"),
    "branch": ("├─", "|-"),
    "last": ("└─", "`-"),
    "trunk": ("│ ", "| "),
    "dot": ("·", "."),
    "arrow": ("→", "->"),
}


def _has_color(stream: TextIO) -> bool:
    if settings.current().no_color or os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR", "")
    return forced not in ("", "0") or (stream.isatty() and os.environ.get("TERM") != "dumb")


def _has_unicode(stream: TextIO) -> bool:
    named = os.environ.get("LC_ALL", "")
    if named and not re.search(r"utf-?8", named, re.IGNORECASE):
        return False
    return "utf" in (stream.encoding or "").lower()


def _of(stream: TextIO) -> Terminal:
    is_tty = stream.isatty()
    width = shutil.get_terminal_size((100, 24)).columns
    return Terminal(is_tty=is_tty, width=max(20, width), color=_has_color(stream), unicode=_has_unicode(stream))


def out() -> Terminal:
    """Return what standard output can show."""
    return _of(sys.stdout)


def err() -> Terminal:
    """Return what standard error can show."""
    return _of(sys.stderr)


def hint(text: str, *, warning: bool = False) -> None:
    """Tell people something beside the data, on standard error."""
    terminal = err()
    look = {"fg": "yellow"} if warning else {"dim": True}
    click.echo(terminal.style(text, **look), err=True, color=terminal.color)


def told_in_lines(parts: Iterable[str], terminal: Terminal) -> Iterator[str]:
    """Yield short facts side by side, on as many lines as they need."""
    between, line = f" {terminal.glyph('dot')} ", ""
    for part in parts:
        if line and cells(line + between + part) > terminal.width:
            yield line
            line = part
        else:
            line = f"{line}{between}{part}" if line else part
    yield line


def say(text: str = "") -> None:
    """Print a line of text to standard output; signs of ours in ASCII where nothing else can be shown."""
    terminal = out()
    if not terminal.unicode and not _is_for_programs():
        text = text.translate(_IN_ASCII)
    click.echo(text, color=terminal.color)


def _is_for_programs() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(FORM, "table") != "table"
