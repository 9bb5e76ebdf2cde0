"""JSON lines as they are really found: growing, glued together, cut off, with text that no database may store.

A good line costs one decode by msgspec. Only a line that this refuses, or that holds an escape which might
stand for a character that cannot be stored, is looked at more closely.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from math import isinf
from pathlib import Path
from typing import IO, Any, Generic, NoReturn, TypeVar, cast

import msgspec

from agentrecord.ingest.facts import Unreadable

T = TypeVar("T")

MAX_LINE_BYTES = 64 * 1024 * 1024
EXCERPT_CHARACTERS = 160
REPLACEMENT = "\ufffd"

_CHUNK = 1 << 20
_PROBE = 8192
_MAX_ATTEMPTS = 1000
_LOOK_BACK = 64
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
# An escaped backslash is matched first, so that the `\u0000` in `\\u0000` is left alone: it is six plain characters.
_UNFIT = re.compile("\\\\\\\\|\\\\u0000|[\ud800-\udfff]")
# A byte order mark may stand at the start of a file.
_BLANKS = re.compile(r"[ \t\r\n\ufeff]*")
_NESTED_AFTER = (":", ",", "[")


class JsonLines(Generic[T]):
    """The rows of a file of JSON lines (`.gz`: compressed), read from where the last reading stopped.

    `T` is a msgspec Struct whose undeclared fields are skipped, or Any for plain dicts.
    """

    position: int
    """Bytes consumed so far; of a compressed file, bytes of what it holds."""
    line: int
    """The number of the last line consumed, from 1."""

    def __init__(self, path: Path, row_type: type[T]) -> None:
        """Prepare to read `path`; nothing is opened yet."""
        self.path = path
        self.position = 0
        self.line = 0
        # A row is an object; without this a bare number on a line would reach the sources.
        wanted: Any = dict[str, Any] if row_type is Any else row_type
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(wanted)
        self._is_within_line = False
        self._is_binary = False
        self._rest: Unreadable | None = None

    def read(self) -> Iterator[tuple[int, T | Unreadable]]:
        """Yield each row that came since the last call, or what is unreadable of it, with its line number."""
        self._rest = None
        try:
            with self._open() as file:
                yield from self._read(file)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            yield self.line + 1, Unreadable(line=self.line + 1, reason=f"cannot be read any further: {reason}")

    def rest(self) -> Unreadable | None:
        """Tell of a last line that is not finished (and so was not consumed), if there is one."""
        return self._rest

    def _open(self) -> IO[bytes]:
        if self.path.suffix == ".gz":
            return cast("IO[bytes]", gzip.open(self.path, "rb"))
        if self.path.stat().st_size < self.position:
            # The tool rewound or replaced its transcript: what is there now was never seen at these positions.
            self.position, self.line, self._is_within_line = 0, 0, False
        return self.path.open("rb", buffering=_CHUNK)

    def _read(self, file: IO[bytes]) -> Iterator[tuple[int, T | Unreadable]]:
        if self.position == 0 and not self._is_binary and b"\0" in file.read(_PROBE):
            self._is_binary = True
            yield 1, Unreadable(line=1, reason="not a text file; only JSON lines (or .gz of them) can be imported")
        if self._is_binary:
            return
        file.seek(self.position)
        while raw := file.readline(MAX_LINE_BYTES + 1):
            number = self.line + (not self._is_within_line)
            length, is_ended = len(raw), raw.endswith(b"\n")
            if length > MAX_LINE_BYTES and not is_ended:
                skipped = _skip_line(file)
                if not skipped:
                    self._rest = _unfinished(number, raw)
                    return
                reason = f"the line is longer than {MAX_LINE_BYTES >> 20} MiB and was left out"
                yield number, Unreadable(line=number, reason=reason, excerpt=_excerpt(raw))
                length, is_ended = length + skipped, True
            elif not is_ended and not _is_complete(raw):
                self._rest = _unfinished(number, raw)
                return
            elif (row := self._quickly(raw)) is not None:
                yield number, row
            else:
                yield from self._slowly(number, raw)
            self.position += length
            self.line = number
            self._is_within_line = not is_ended

    def _quickly(self, raw: bytes) -> T | None:
        """Return the one good row that most lines are; None if the line must be looked at more closely."""
        if (b"\\u" in raw and _SUSPECT.search(raw)) or not _is_utf8(raw):
            return None
        try:
            return self._decoder.decode(raw)
        except (ValueError, RecursionError):
            return None

    def _slowly(self, number: int, raw: bytes) -> Iterator[tuple[int, T | Unreadable]]:
        text, has_bad_bytes = _decoded(raw)
        for part in _objects(text):
            if isinstance(part, _Bad):
                reason = f"{part.reason}; this part of the line was left out"
                yield number, Unreadable(line=number, reason=reason, excerpt=_excerpt(part.text))
                continue
            try:
                fit, is_altered = _fit(part)
                row = self._decoder.decode(fit)
            except (ValueError, RecursionError) as error:
                reason = f"not a row of this format: {error}"
                yield number, Unreadable(line=number, reason=reason, excerpt=_excerpt(text))
                continue
            yield number, row
            if is_altered or has_bad_bytes:
                what = "characters that cannot be stored (NUL, lone surrogates)" if is_altered else "invalid UTF-8"
                reason = f"{what} were replaced by U+FFFD; the row was kept"
                yield number, Unreadable(line=number, reason=reason, excerpt=_excerpt(fit), was_kept=True)


class _Bad:
    """A part of a line that is no JSON object, and why."""

    __slots__ = ("reason", "text")

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        self.text = text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON; write null or a number")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"the number {text[:40]} is out of range")
    return number


# strict=False: a raw control character within a string is a blemish of the text, not of the row's structure.
_PARSER = json.JSONDecoder(strict=False, parse_constant=_refuse, parse_float=_finite)


def _objects(text: str) -> Iterator[object]:
    """Yield the JSON values that stand side by side in `text`, and a `_Bad` for each part that is none."""
    at = _skip_blanks(text, 0)
    while at < len(text):
        try:
            found, end = _PARSER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            end = _next_object(text, at + 1)
            yield _Bad(_why(error), text[at : min(end, at + EXCERPT_CHARACTERS)])
        else:
            yield found
        at = _skip_blanks(text, end)


def _next_object(text: str, start: int) -> int:
    """Return where the next whole top-level object begins after a broken part, or the end of `text`.

    What is complete may also be a mere part of what is broken: it counts only if nothing but further
    objects follows it, and if what comes before it does not call for a nested value.
    """
    at = start
    for _ in range(_MAX_ATTEMPTS):
        at = text.find('{"', at)
        if at < 0:
            break
        before = text[max(start - 1, at - _LOOK_BACK) : at].rstrip()
        if not before.endswith(_NESTED_AFTER) and _ends_well(text, at):
            return at
        at += 1
    return len(text)


def _ends_well(text: str, at: int) -> bool:
    try:
        end = _skip_blanks(text, _PARSER.raw_decode(text, at)[1])
    except (ValueError, RecursionError):
        return False
    return end == len(text) or text[end] == "{"


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at character {error.pos + 1}"
    return f"not JSON: {error}"


def _skip_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _is_utf8(raw: bytes) -> bool:
    # The decoder does not look into fields that it skips or passes on raw.
    return raw.isascii() or not _decoded(raw)[1]


def _decoded(raw: bytes) -> tuple[str, bool]:
    try:
        return raw.decode("utf-8"), False
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace"), True


def _fit(value: object) -> tuple[str, bool]:
    """Return `value` as JSON text without NUL and lone surrogates, and whether it had any."""
    encoded = json.dumps(value, ensure_ascii=False)
    fit = _UNFIT.sub(lambda match: match[0] if match[0] == "\\\\" else REPLACEMENT, encoded)
    return fit, fit != encoded


def _is_complete(raw: bytes) -> bool:
    """Say whether a last line without a newline is whole JSON objects, so that nothing of it is still to come."""
    if raw.isspace():
        return False
    return raw.rstrip().endswith(b"}") and not any(isinstance(part, _Bad) for part in _objects(_decoded(raw)[0]))


def _skip_line(file: IO[bytes]) -> int:
    """Read to the end of the current line; return its length, 0 if it has no end yet."""
    length = 0
    while chunk := file.readline(_CHUNK):
        length += len(chunk)
        if chunk.endswith(b"\n"):
            return length
    return 0


def _unfinished(number: int, raw: bytes) -> Unreadable | None:
    if raw.isspace():
        return None
    reason = "the last line is not finished; it is read once the tool has written the rest of it"
    return Unreadable(line=number, reason=reason, excerpt=_excerpt(raw))


def _excerpt(text: str | bytes) -> str:
    start = text[: EXCERPT_CHARACTERS * 4].decode("utf-8", "replace") if isinstance(text, bytes) else text
    return _UNFIT.sub(REPLACEMENT, start[:EXCERPT_CHARACTERS].replace("\0", REPLACEMENT).strip())
