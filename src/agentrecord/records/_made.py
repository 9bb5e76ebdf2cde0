"""How records are made: `dataclass` as the standard library has it, for frozen classes in a quarter of the time.

The library writes and compiles six functions for each class, which was a quarter of a short command's time. Here only
`__init__` is compiled; what compares, shows, hashes, copies and protects a record is the same few functions for all.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar  # `Any`: fields hold what they are declared to hold

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - what others import from here
else:

    def dataclass(*, frozen: bool = False, slots: bool = False, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
        """Make a dataclass of a class; one that is `frozen` has `slots`, and derives from no other dataclass."""
        if not frozen:
            return dataclasses.dataclass(slots=slots, kw_only=kw_only)
        plain = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)
        return lambda declared: _frozen(plain(declared), kw_only=kw_only)


class _Factory:
    """Stands for a default that is made for each record anew, as in `inspect.signature`."""

    def __repr__(self) -> str:
        return "<factory>"


FACTORY = _Factory()


def _frozen(made: type[T], *, kw_only: bool) -> type[T]:
    """Give a dataclass what it lacks; what it says itself about how it compares and is shown, it keeps."""
    setattr(made, "__init__", _init(made, kw_only=kw_only))  # noqa: B010 - a type checker refuses the plain words
    for name, function in _OWN.items():
        if name not in vars(made):
            setattr(made, name, function)
    vars(made)["__dataclass_params__"].frozen = True
    return made


def _init(made: type[Any], *, kw_only: bool) -> Callable[..., None]:
    """Compile the one function that has to be: with a parameter for each field."""
    space: dict[str, Any] = {"_put": object.__setattr__, "_factory": FACTORY}
    parameters, lines = ["self", *(["*"] if kw_only else [])], []
    for one in fields(made):
        default, value = _default(one, space)
        parameters.append(f"{one.name}{default}")
        lines.append(f"    _put(self, {one.name!r}, {value})")
    exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines), space)
    found: Callable[..., None] = space["__init__"]
    found.__qualname__ = f"{made.__qualname__}.__init__"
    found.__annotations__ = {**{one.name: one.type for one in fields(made)}, "return": None}
    return found


def _default(one: Field[Any], space: dict[str, Any]) -> tuple[str, str]:
    """Return a parameter's default and a field's value, as written; what they name goes into `space`."""
    name = f"_of_{one.name}"
    if one.default_factory is not MISSING:
        space[name] = one.default_factory
        return "=_factory", f"{name}() if {one.name} is _factory else {one.name}"
    if one.default is not MISSING:
        space[name] = one.default
        return f"={name}", one.name
    return "", one.name


def _values(record: Any) -> tuple[object, ...]:
    return tuple([getattr(record, name) for name in record.__dataclass_fields__])


def _eq(self: object, other: object) -> bool:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: object) -> int:
    return hash(_values(self))


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{self.__class__.__qualname__}({shown})"


def _refuse(self: object, name: str, value: object = None) -> NoReturn:
    raise FrozenInstanceError(f"cannot change the field {name!r} of a {self.__class__.__qualname__}")


def _setstate(self: Any, state: tuple[object, ...]) -> None:
    for name, value in zip(self.__dataclass_fields__, state, strict=True):
        object.__setattr__(self, name, value)


_OWN: dict[str, object] = {
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    "__getstate__": _values,
    "__setstate__": _setstate,
}
