"""Records on the wire: how they are answered, and how the API's description shows them."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints  # `Any`: shapes of JSON

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from agentrecord.codec.jsonable import to_json
from agentrecord.codec.values import json_text
from agentrecord.exceptions import InvalidFilter, InvalidValue
from agentrecord.records.page import Page
from agentrecord.records.unset import UnsetType
from agentrecord.server.identity import identity_of
from agentrecord.store import AsyncStore

T = TypeVar("T")
JSON = "application/json"
MAX_KEYS = 1000
"""How many fields a body may have: no model has so many, and each unknown one would be refused by itself."""

MOST_CHECKED_HERE_BYTES = 64 * 1024
"""Larger bodies are checked in a thread, so that no other request waits for them."""

CLIENT_CLOSED_REQUEST = 499
"""nginx's word for a client that left: it reads no answer, but logs show the status."""

EXAMPLES: dict[str, object] = {
    "session_id": "03a1382e-ecd5-42c4-b3d4-5c659e165904",
    "run_id": "03a1382e-ecd5-42c4-b3d4-5c659e165904:d19d6462",
    "agent_id": "claude-code",
    "source": "claude-code",
    "user": "ana@example.org",
    "title": "Fix the build",
    "model": "claude-opus-4-5",
    "host": "Anthropic",
    "tool_name": "Bash",
    "call_ref": "toolu_01WuAEfYQ2rqbMpjS9RF2mKk",
    "arguments": '{"command": "git status"}',
    "content": "Please look at the broken commit.",
    "event_type": "compaction",
    "version_number": "1.4.0",
    "fingerprint": "9f86d081884c7d65",
    "error_type": "TimeoutError",
    "error_message": "upstream timed out after 30 s",
    "input_tokens": 1200,
    "cache_read_tokens": 48_000,
    "output_tokens": 350,
    "cost_nanos": 38_750_000,
    "cost_usd": 0.03875,
    "detail": "limit: Input should be less than or equal to 200",
}
"""What a field may hold, for the API's description."""


class PageOf(BaseModel, Generic[T], defer_build=True):
    """One page of a list: `next_cursor` is null on the last one, `total` counts the whole filter."""

    items: list[T]
    limit: int
    next_cursor: str | None = None
    total: int | None = None
    total_is_exact: bool = True


class ItemsOf(BaseModel, Generic[T], defer_build=True):
    """A whole list."""

    items: list[T]


class Query(BaseModel):
    """Query parameters: those that are named, and no others."""

    model_config = ConfigDict(extra="forbid")


def store_of(request: Request) -> AsyncStore:
    """Return the record as the caller may see it."""
    found: AsyncStore = request.state.store
    return found


def owner_of(request: Request) -> str | None:
    """Return who owns what the caller makes: an administrator's own user, since their scope holds everybody.

    None where the caller's scope says it, or where they are nobody in particular.
    """
    identity = identity_of(request)
    return identity.user if identity.store.scope.user is None else None


class StrictRoute(APIRoute):
    """A route whose body is the JSON that every engine stores and reads back alike: no duplicate keys, no NaN …"""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Check the body before anything else reads it."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def checked(request: Request) -> Response:
            try:
                await _check(await request.body())
                _few_keys(await request.json())
            except ClientDisconnect:
                # Cut off in the middle, or refused by a limit, which answers in place of this.
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            except UnicodeDecodeError as error:
                raise InvalidValue("body", error.object[:80], "is not UTF-8; send JSON in UTF-8") from error
            return await handle(request)

        return checked


async def _check(body: bytes) -> None:
    text = body.decode()
    if len(body) <= MOST_CHECKED_HERE_BYTES:
        json_text("body", text)
    else:
        await run_in_threadpool(json_text, "body", text)


def _few_keys(body: object) -> None:
    if isinstance(body, dict) and len(body) > MAX_KEYS:
        raise InvalidValue("body", f"{len(body):,} fields", f"may have {MAX_KEYS:,} fields; leave out the rest")


def page_of(page: Page[T], show: Callable[[T], object]) -> Page[object]:
    """Return a page of what `show` makes of its rows."""
    return Page([show(row) for row in page.items], page.limit, page.next_cursor, page.total, page.total_is_exact)


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
    shapes: dict[str, Any] = {field.name: (_shape(hints[field.name]), _like(field.name)) for field in fields(kind)}
    for name, member in vars(kind).items():
        if isinstance(member, property) and member.fget is not None:
            shapes[name] = (_shape(get_type_hints(member.fget)["return"]), _like(name))
    model: type[BaseModel] = create_model(
        kind.__name__, __doc__=kind.__doc__, __config__=ConfigDict(defer_build=True), **shapes
    )
    return model


def changes_of(kind: type, **shapes: Any) -> dict[str, Any]:
    """Return what describes the JSON of changes: any of a record's fields and no others; `shapes` for those told."""
    hints = {**get_type_hints(kind), **shapes}
    return {
        "properties": {name: TypeAdapter(_without_unset(hint)).json_schema() for name, hint in hints.items()},
        "additionalProperties": False,
    }


def _without_unset(hint: Any) -> Any:
    options = [option for option in get_args(hint) if option != UnsetType]
    return hint if len(options) == len(get_args(hint)) else Union[tuple(options)]  # noqa: UP007 (options from a tuple)


def _like(name: str) -> Any:
    return Field(examples=[EXAMPLES[name]]) if name in EXAMPLES else ...


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
        listed: Any = list
        return listed[shaped[0]]
    if origin in (dict, list, Mapping):
        container: Any = dict if origin is Mapping else origin
        return container[tuple(shaped)]
    union: Any = shaped[0]
    for other in shaped[1:]:
        union = union | other
    return union
