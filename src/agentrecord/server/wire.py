"""Records on the wire: how they are answered, and how the API's description shows them."""

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints  # `Any`: shapes of JSON

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, create_model

from agentrecord.codec.jsonable import to_json
from agentrecord.exceptions import InvalidFilter
from agentrecord.store import AsyncStore

T = TypeVar("T")
JSON = "application/json"


class PageOf(BaseModel, Generic[T]):
    """One page of a list: `next_cursor` is null on the last one, `total` counts the whole filter."""

    items: list[T]
    limit: int
    next_cursor: str | None = None
    total: int | None = None
    total_is_exact: bool = True


class ItemsOf(BaseModel, Generic[T]):
    """A whole list."""

    items: list[T]


class Query(BaseModel):
    """Query parameters: those that are named, and no others."""

    model_config = ConfigDict(extra="forbid")


def store_of(request: Request) -> AsyncStore:
    """Return the record as the caller may see it."""
    found: AsyncStore = request.state.store
    return found


def no_query(request: Request) -> None:
    """Refuse any query parameter."""
    for name in request.query_params:
        raise InvalidFilter(name, request.query_params[name], "is not a parameter here")


def answer(record: object, status: int = 200) -> Response:
    """Return a record, or a list or dict of records, as JSON."""
    return Response(to_json(record), status, media_type=JSON)


def described(kind: Any, description: str, *, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return what the API's description says about the answer of a route."""
    return {status: {"model": kind, "description": description}}


@cache
def model_of(kind: type) -> type[BaseModel]:
    """Return the model that describes a record's JSON: its fields, and then its computed properties."""
    hints = get_type_hints(kind)
    shapes: dict[str, Any] = {field.name: (_shape(hints[field.name]), ...) for field in fields(kind)}
    for name, member in vars(kind).items():
        if isinstance(member, property) and member.fget is not None:
            shapes[name] = (_shape(get_type_hints(member.fget)["return"]), ...)
    model: type[BaseModel] = create_model(kind.__name__, __doc__=kind.__doc__, **shapes)
    return model


def _shape(hint: Any) -> Any:
    """Return a field's type as JSON has it: records become models, at any depth."""
    if isinstance(hint, type) and is_dataclass(hint):
        return model_of(hint)
    if getattr(hint, "__name__", "") == "Decimal":
        return float
    origin, arguments = get_origin(hint), get_args(hint)
    if not arguments:
        return getattr(hint, "__supertype__", hint)
    shaped = [_shape(argument) for argument in arguments]
    if origin is tuple:
        return list[shaped[0]]  # type: ignore[valid-type]
    if origin in (dict, list):
        return origin[tuple(shaped)]
    union: Any = shaped[0]
    for other in shaped[1:]:
        union = union | other
    return union
