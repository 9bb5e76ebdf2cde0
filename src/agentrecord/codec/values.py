"""What may be stored: one answer for every engine, given before a database is asked.

Engines disagree about NUL, lone surrogates, NaN, duplicate keys and numbers too large; each check here refuses
what any of them would refuse or change, with an `InvalidValue` that names the field and says the mend.
A check returns the value, so that it can be used in place.
"""

import json
import math
import re
from datetime import UTC, datetime
from itertools import accumulate

from agentrecord.exceptions import InvalidValue

MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1
MAX_TOKENS = 1_000_000_000
MAX_NAME = 255
MAX_DEPTH = 64
MAX_JSON_BYTES = 16 * 1024 * 1024
REPLACEMENT = "\ufffd"

JsonValue = str | int | float | bool | None | list["JsonValue"] | tuple["JsonValue", ...] | dict[str, "JsonValue"]

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
_JSON_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_LONGEST_INTEGER = len(str(MIN_INTEGER))


def text(field: str, value: object, *, max_chars: int | None = None) -> str:
    """Return `value` if it is text that every engine can store, at most `max_chars` characters of it."""
    if not isinstance(value, str):
        raise InvalidValue(field, value, f"must be text, not {_kind(value)}")
    if "\0" in value or not (value.isascii() or _encodes(value)):
        raise InvalidValue(field, value, _what_is_unstorable(value))
    if max_chars is not None and len(value) > max_chars:
        raise InvalidValue(field, value, f"has {len(value)} characters; shorten it to {max_chars}")
    return value


def texts(field: str, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return `value` if each of its texts can be stored."""
    for item in value:
        text(field, item)
    return value


def clean_text(value: str) -> str:
    """Return `value` with every NUL and lone surrogate replaced by U+FFFD."""
    if "\0" not in value and (value.isascii() or _encodes(value)):
        return value
    return _UNSTORABLE.sub(REPLACEMENT, value)


def name(field: str, value: object) -> str:
    """Return `value` if it can name something: 1 to 255 characters, not blank, no control characters."""
    checked = text(field, value, max_chars=MAX_NAME)
    if not checked or checked.isspace():
        raise InvalidValue(field, value, "is blank; give it at least one visible character")
    if found := _CONTROL.search(checked):
        raise InvalidValue(field, value, f"holds the control character U+{ord(found[0]):04X}; leave it out")
    return checked


def email(field: str, value: object) -> str:
    """Return `value` as accounts are known by: an e-mail address without blanks around it, in lower case."""
    checked = name(field, value.strip() if isinstance(value, str) else value).lower()
    local, at, domain = checked.rpartition("@")
    if not at or not local or "@" in local or not domain.strip(".") or any(map(str.isspace, checked)):
        raise InvalidValue(field, value, "is no e-mail address; write it as in ana@example.org")
    return checked


def integer(field: str, value: object, *, minimum: int = MIN_INTEGER, maximum: int = MAX_INTEGER) -> int:
    """Return `value` if it is a whole number from `minimum` to `maximum`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidValue(field, value, f"must be a whole number, not {_kind(value)}")
    if not minimum <= value <= maximum:
        # Not the number itself: Python refuses to write one of more than 4300 digits.
        shown = value if abs(value) < 2**128 else f"a number of {value.bit_length()} bits"
        raise InvalidValue(field, shown, f"must be from {minimum} to {maximum}")
    return value


def tokens(field: str, value: object) -> int:
    """Return `value` if it can be a count of tokens: a whole number from 0 to 1,000,000,000."""
    return integer(field, value, minimum=0, maximum=MAX_TOKENS)


def fraction(field: str, value: object) -> float:
    """Return `value` as a float if it is a finite number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise InvalidValue(field, value, f"must be a number, not {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        shown = value if isinstance(value, float) else "a whole number beyond every float"
        raise InvalidValue(field, shown, "must be a finite number; leave the field out if it is unknown")
    return number


def moment(field: str, value: object) -> datetime:
    """Return `value` in UTC, to the microsecond, if it names its time zone and lies in 1970 to 9999."""
    if not isinstance(value, datetime):
        raise InvalidValue(field, value, f"must be a datetime, not {_kind(value)}")
    if value.utcoffset() is None:
        raise InvalidValue(field, value, "names no time zone; use an aware datetime, such as one with tzinfo=UTC")
    try:
        # Subclasses may carry nanoseconds; the parts of a datetime do not.
        plain = value if type(value) is datetime else datetime.combine(value.date(), value.timetz())
        instant = plain.astimezone(UTC)
    except OverflowError:
        instant = None
    if instant is None or instant.year < 1970:
        raise InvalidValue(field, value, "must lie in the years 1970 to 9999 (UTC)")
    return instant


def json_text(field: str, value: object, *, max_depth: int = MAX_DEPTH, max_bytes: int = MAX_JSON_BYTES) -> str:
    """Return `value` unchanged if it is JSON text that every engine stores and reads back alike.

    Refused are: no JSON, NaN and Infinity, duplicate keys, NUL and lone surrogates (escaped ones too), integers
    beyond 64 bits, floats beyond double precision, more than `max_depth` levels, more than `max_bytes` of UTF-8.
    """
    checked = text(field, value)
    _refuse_oversize(field, checked, max_bytes)
    if _depth(checked, max_depth) > max_depth:
        raise InvalidValue(field, value, f"is nested deeper than {max_depth} levels; flatten it")
    try:
        parsed = _DECODER.decode(checked)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(field, value, f"is not storable JSON: {error}") from error
    # An escape is the only way by which text without NUL and surrogates can hold either.
    if "\\u" in checked:
        _check_strings(field, parsed)
    return checked


def json_value(field: str, value: JsonValue, *, max_depth: int = MAX_DEPTH, max_bytes: int = MAX_JSON_BYTES) -> str:
    """Return `value` as canonical JSON text: keys sorted, no blanks, nothing escaped that need not be."""
    _check_value(field, value, max_depth)
    encoded = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    _refuse_oversize(field, encoded, max_bytes)
    return encoded


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _what_is_unstorable(value: str) -> str:
    found = _UNSTORABLE.search(value)
    position = found.start() if found else 0
    what = "NUL" if value[position] == "\0" else f"the lone surrogate U+{ord(value[position]):04X}"
    return f"holds {what} at position {position}, which no engine stores; remove it or put U+FFFD in its place"


def _kind(value: object) -> str:
    return type(value).__name__


def _refuse_oversize(field: str, value: str, max_bytes: int) -> None:
    # UTF-8 takes at most four bytes a character, so that short text need not be encoded to be measured.
    if len(value) * 4 <= max_bytes:
        return
    size = len(value) if value.isascii() else len(value.encode())
    if size > max_bytes:
        raise InvalidValue(field, value[:80], f"has {size} bytes; shorten it to {max_bytes}")


def _depth(value: str, limit: int) -> int:
    opening = value.count("[") + value.count("{")
    if opening <= limit:
        return opening
    steps = (1 if bracket in "[{" else -1 for bracket in _BRACKET.findall(_JSON_STRING.sub("", value)))
    return max(accumulate(steps), default=0)


def _whole(literal: str) -> int:
    if len(literal) > _LONGEST_INTEGER or not MIN_INTEGER <= int(literal) <= MAX_INTEGER:
        raise ValueError(f"the integer {literal[:24]} does not fit into 64 bits; write it as text")
    return int(literal)


def _finite(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise ValueError(f"the number {literal[:24]} is beyond double precision; write it as text")
    return number


def _refuse_constant(literal: str) -> None:
    raise ValueError(f"{literal} is no JSON; write null")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # Each key's last place is in `places`: the first key that is not at its last place comes again.
        places = {key: place for place, (key, _) in enumerate(pairs)}
        twice = next(key for place, (key, _) in enumerate(pairs) if places[key] != place)
        raise ValueError(f"the key {twice[:40]!r} comes twice in one object; keep one")
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_finite, parse_constant=_refuse_constant
)


def _check_strings(field: str, value: object) -> None:
    if isinstance(value, str):
        text(field, value)
    elif isinstance(value, dict):
        for key, item in value.items():
            text(field, key)
            _check_strings(field, item)
    elif isinstance(value, list):
        for item in value:
            _check_strings(field, item)


def _check_value(field: str, value: object, depth: int) -> None:
    if isinstance(value, (dict, list, tuple)):
        if depth == 0:
            raise InvalidValue(field, _kind(value), "is nested too deeply; flatten it")
        if isinstance(value, dict):
            for key in value:
                text(f"{field} (a key)", key)
        for item in value.values() if isinstance(value, dict) else value:
            _check_value(field, item, depth - 1)
    elif isinstance(value, str):
        text(field, value)
    elif isinstance(value, float):
        fraction(field, value)
    elif value is not None and not isinstance(value, bool):
        if not isinstance(value, int):
            raise InvalidValue(field, value, f"holds {_kind(value)}, which JSON has not; convert it first")
        integer(field, value)
