"""Records as JSON and back.

A record becomes an object of its fields, in order, and after them its computed properties (`cost_usd` beside
`cost_nanos`), so that no reader has to compute them again. Instants are ISO 8601 in UTC with microseconds and `Z`,
ids and `Decimal` fields are strings, bytes are Base64. Computed dollars are numbers with every digit. What is `UNSET`
in a record of changes is left out, and what is left out is `UNSET`.
"""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar, Union, cast, get_args, get_type_hints

import msgspec

from agentrecord.exceptions import InvalidValue
from agentrecord.records.llm_call import LLMCall
from agentrecord.records.unset import UNSET, UnsetType

T = TypeVar("T")
Converter = Callable[[Any], object]  # Any: each converter, and each getter, takes one type of value
Computed = tuple[str, Converter]
Reader = Callable[[bytes | str], object]

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def to_json(record: object) -> bytes:
    """Return a record, or a list or dict of records, as JSON in UTF-8."""
    return _ENCODER.encode(_plain(record))


def to_jsonable(record: object) -> Any:  # Any: as for json.loads, the shape is the record's
    """Return a record as what a reader of its JSON gets: dicts, lists, text, numbers; dollars as a float."""
    return msgspec.json.decode(to_json(record))


def from_json(kind: type[T], data: bytes | str) -> T:
    """Return the record of type `kind` that was written as `data`; computed properties are left aside."""
    try:
        return cast(T, _READERS[kind](data))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidValue(kind.__name__, data[:80], f"cannot be read as JSON of this record: {error}") from error


def _plain(value: object) -> object:
    return _CONVERTERS[type(value)](value)


class _Converters(dict[type, Converter]):
    """What each type of value becomes; a type's converter is made when the first such value comes."""

    def __missing__(self, kind: type) -> Converter:
        converter = _record_converter(kind) if is_dataclass(kind) else _same
        self[kind] = converter
        return converter


def _record_converter(kind: type) -> Converter:
    names = tuple(field.name for field in fields(kind))
    computed = [*_properties(kind), *_BESIDE.get(kind, ())]

    def convert(record: object) -> dict[str, object]:
        shown = {name: _plain(value) for name in names if (value := getattr(record, name)) is not UNSET}
        for name, read in computed:
            shown[name] = read(record)
        return shown

    return convert


def _properties(kind: type) -> Iterator[Computed]:
    for name, member in vars(kind).items():
        if isinstance(member, property) and member.fget is not None:
            yield name, member.fget


class _Readers(dict[Any, Reader]):  # Any: a generic alias such as `Page[Part]` is no type
    """What reads each type of record; a type's reader is made when it is first asked for."""

    def __missing__(self, kind: Any) -> Reader:
        hints = get_type_hints(kind) if is_dataclass(kind) else {}
        holds_changes = any(UnsetType in get_args(hint) for hint in hints.values())
        reader = _changes_reader(kind, hints) if holds_changes else msgspec.json.Decoder(kind).decode
        self[kind] = reader
        return reader


def _changes_reader(kind: Any, hints: dict[str, Any]) -> Reader:
    # msgspec knows only an UNSET of its own: read into a twin of the record that uses that one.
    twin = msgspec.defstruct(
        kind.__name__, [_twin_field(field, hints[field.name]) for field in fields(kind)], kw_only=True
    )
    decode = msgspec.json.Decoder(twin).decode

    def read(data: bytes | str) -> object:
        given = msgspec.structs.asdict(decode(data))
        return kind(**{name: value for name, value in given.items() if value is not msgspec.UNSET})

    return read


def _twin_field(field: Field[Any], hint: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    options = tuple(option for option in get_args(hint) if option != UnsetType)
    known = Union[options] if UnsetType in get_args(hint) else hint  # noqa: UP007 (the options come from a tuple)
    if field.default is MISSING and field.default_factory is MISSING:
        return field.name, known
    return field.name, known, msgspec.UNSET


def _total_tokens(call: LLMCall) -> int:
    return call.tokens.total


def _instant(value: datetime) -> str:
    if value.tzinfo is not UTC:
        if value.utcoffset() is None:
            raise InvalidValue("datetime", value, "names no time zone; use an aware datetime")
        value = value.astimezone(UTC)
    return value.isoformat(timespec="microseconds")[:-6] + "Z"


def _items(value: list[object] | tuple[object, ...]) -> list[object]:
    return [_plain(item) for item in value]


def _entries(value: dict[str, object]) -> dict[str, object]:
    return {key: _plain(item) for key, item in value.items()}


def _same(value: object) -> object:
    return value


_BESIDE: dict[type, tuple[Computed, ...]] = {LLMCall: (("total_tokens", _total_tokens),)}
_CONVERTERS = _Converters({datetime: _instant, Decimal: str, tuple: _items, list: _items, dict: _entries})
_READERS = _Readers()
