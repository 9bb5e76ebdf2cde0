"""How Python values are handed to a driver, by their type alone."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from operator import attrgetter
from uuid import UUID

import msgspec

from agentrecord.engine.moments import to_micros
from agentrecord.exceptions import InvalidValue

Encoder = Callable[..., object]


def _json_array(values: tuple[object, ...]) -> str:
    return msgspec.json.encode(values).decode()


def _text(value: str) -> str:
    # What is stored was checked before; this is for what is looked for: one driver fails, another finds nothing.
    if "\0" in value:
        raise InvalidValue("value", value, "holds NUL, which no engine stores; remove it")
    return value


class Encoders(dict[type, Encoder | None]):
    """What turns a value into the driver's, by the value's type; None where nothing has to be done."""

    def __missing__(self, kind: type) -> Encoder | None:
        """Take a word of a closed set as plain text: drivers look long at what is not exactly `str`."""
        found = self[kind] = attrgetter("_value_") if issubclass(kind, Enum) else None
        return found


def _blob(value: UUID) -> bytearray:
    # sqlite3 looks for an adapter of every `bytes` (0.5 µs) and of no `bytearray`: a turn binds some forty ids.
    return bytearray(value.int.to_bytes(16, "big"))


POSTGRESQL = Encoders({datetime: to_micros, tuple: _json_array, str: _text})
SQLITE = Encoders({**POSTGRESQL, UUID: _blob, bool: int})


def encode(values: Iterable[object], encoders: Encoders) -> tuple[object, ...]:
    """Return `values` as the driver takes them."""
    return tuple([value if (encoder := encoders[type(value)]) is None else encoder(value) for value in values])


def encode_at(values: Iterable[object], places: Sequence[int], encoders: Encoders) -> list[object]:
    """Return `values` as the driver takes them, looking only at `places`: the others are known to be plain."""
    row = list(values)
    for place in places:
        value = row[place]
        if value is not None:
            encoder = encoders[type(value)]
            if encoder is not None:
                row[place] = encoder(value)
    return row
