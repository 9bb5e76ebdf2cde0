"""How Python values are handed to a driver, by their type alone."""

from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from agentrecord.engine.moments import to_micros
from agentrecord.exceptions import InvalidValue

Encoder = Callable[..., object]


def _json_array(values: tuple[object, ...]) -> str:
    return msgspec.json.encode(values).decode()


def _text(value: str) -> str:
    # What is stored was checked before; this is for what is looked for, where one driver fails and another finds nothing.
    if "\0" in value:
        raise InvalidValue("value", value, "holds NUL, which no engine stores; remove it")
    return value


POSTGRESQL: dict[type, Encoder] = {datetime: to_micros, tuple: _json_array, str: _text}
SQLITE: dict[type, Encoder] = {**POSTGRESQL, UUID: lambda value: value.bytes}


def encode(values: Iterable[object], encoders: dict[type, Encoder]) -> tuple[object, ...]:
    """Return `values` as the driver takes them."""
    get = encoders.get
    return tuple([encoder(value) if (encoder := get(type(value))) else value for value in values])
