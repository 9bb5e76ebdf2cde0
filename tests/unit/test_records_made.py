"""Records are made as the standard library makes dataclasses, only sooner."""

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agentrecord import records
from agentrecord.records import _made


def declared(decorate: Callable[..., Callable[[type], type]]) -> type[Any]:
    """Return a class made by one of the two."""

    @decorate(frozen=True, slots=True, kw_only=True)
    class Thing:
        """A thing."""

        name: str
        size: int = 3
        parts: list[int] = dataclasses.field(default_factory=list)
        secret: str = dataclasses.field(default="x", repr=False)

        @property
        def double(self) -> int:
            """Return twice its size."""
            return 2 * self.size

    return Thing


OURS, THEIRS = declared(_made.dataclass), declared(dataclasses.dataclass)


def told(call: Callable[[], object]) -> str:
    """Return what a call gives or how it fails."""
    try:
        return repr(call())
    except (TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"


def within_itself(made: type[Any]) -> object:
    """Return a thing that is one of its own parts."""
    thing = made(name="a")
    thing.parts.append(thing)
    return thing


USES: dict[str, Callable[[type[Any]], object]] = {
    "shown": lambda made: made(name="a", parts=[1]),
    "without what it needs": lambda made: made(),
    "with what it does not know": lambda made: made(name="a", colour="red"),
    "by place": lambda made: made("a"),
    "replaced": lambda made: dataclasses.replace(made(name="a"), size=4),
    "as a dictionary": lambda made: dataclasses.asdict(made(name="a")),
    "its signature": lambda made: str(inspect.signature(made)),
    "its parameters": lambda made: list(inspect.signature(made).parameters.values())[1:2],
    "its fields": lambda made: [(one.name, one.type, one.kw_only) for one in dataclasses.fields(made)],
    "its slots": lambda made: (made.__slots__, made.__match_args__, hasattr(made(name="a"), "__dict__")),
    "its doc": lambda made: (made.__doc__, made.__name__, made(name="a").double),
    "equal": lambda made: (made(name="a") == made(name="a"), made(name="a") == made(name="b"), made(name="a") == 1),
    "hashed": lambda made: hash(made(name="a", parts=())) == hash(made(name="a", parts=())),
    "hashed with a list": lambda made: hash(made(name="a")),
    "copied": lambda made: (copy.copy(made(name="a")), copy.deepcopy(made(name="a", parts=[1, 2]))),
    "as JSON": lambda made: msgspec.json.encode(made(name="a")),
    "from JSON": lambda made: msgspec.json.decode(b'{"name": "a", "parts": [1]}', type=made),
    "defaults of their own": lambda made: made(name="a").parts is not made(name="a").parts,
    "in itself": within_itself,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_record_behaves_as_a_frozen_dataclass_does(use: Callable[[type[Any]], object]) -> None:
    assert told(lambda: use(OURS)) == told(lambda: use(THEIRS))


def test_a_record_cannot_be_changed() -> None:
    thing = OURS(name="a")
    with pytest.raises(dataclasses.FrozenInstanceError, match="'name' of a"):
        thing.name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError, match="'size' of a"):
        del thing.size
    with pytest.raises(dataclasses.FrozenInstanceError):
        thing.colour = "red"
    assert thing == OURS(name="a")


def test_every_frozen_record_is_made_so_and_survives_being_pickled() -> None:
    modules = [
        importlib.import_module(f"agentrecord.records.{one.name}") for one in pkgutil.iter_modules(records.__path__)
    ]
    made = {one for module in modules for one in vars(module).values() if inspect.isclass(one)}
    known = [one for one in made if dataclasses.is_dataclass(one)]
    frozen = [one for one in known if vars(one)["__dataclass_params__"].frozen]
    assert len(frozen) > 100
    assert {one.__name__ for one in frozen if one.__setattr__ is not _made._refuse} == set()
    for one in frozen:
        given = {field.name: field.name for field in dataclasses.fields(one)}
        whole = one(**given)
        assert pickle.loads(pickle.dumps(whole)) == whole
        assert dataclasses.asdict(whole) == given
