"""How an operation becomes a method of both faces: one body, its own signature, `conn` and `scope` bound."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cache, update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload  # `Any`: see `_bind`

from agentrecord.engine import Connection, Engine
from agentrecord.exceptions import Forbidden
from agentrecord.records.scope import Role, Scope

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Bound:
    """What a face's methods run with."""

    engine: Engine
    scope: Scope


class Face:
    """A group of operations that block."""

    def __init__(self, bound: Bound) -> None:
        """Take the engine and the scope."""
        self._bound = bound


class AsyncFace:
    """The same group, awaited."""

    def __init__(self, bound: Bound) -> None:
        """Take the engine and the scope."""
        self._bound = bound


class Operation(Generic[P, R]):
    """A function `verb(conn, scope, …)` as a method: blocking on a `Face`, awaited on an `AsyncFace`."""

    def __init__(
        self,
        function: Callable[Concatenate[Connection, Scope, P], R],
        *,
        writes: bool,
        role: Role = Role.READ,
        frees_space: bool = False,
        before: Callable[..., None] | None = None,
    ) -> None:
        """Take the function, which role may call it, and what to do `before` its transaction."""
        self.function = function
        self.writes = writes
        self.role = role
        self.frees_space = frees_space
        self.before = before
        self.name = ""
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the method's name."""
        self.name = name

    @overload
    def __get__(self, face: Face, owner: type) -> Callable[P, R]: ...
    @overload
    def __get__(self, face: AsyncFace, owner: type) -> Callable[P, Awaitable[R]]: ...
    @overload
    def __get__(self, face: None, owner: type) -> "Operation[P, R]": ...
    def __get__(self, face: Face | AsyncFace | None, owner: type) -> Any:
        """Bind the operation to a face, once."""
        if face is None:
            return self
        method = _bind(self, face)
        face.__dict__[self.name] = method
        return method

    def prepare(self, scope: Scope, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise `Forbidden` if the scope's role may not call this; do what must not wait for the transaction."""
        if not scope.role.includes(self.role):
            raise Forbidden(f"{self.name} needs the role {self.role}, this is {scope.role}")
        if self.before is not None:
            self.before(*args, **kwargs)


def work_in(
    scope: Scope, operation: Callable[Concatenate[Connection, Scope, P], R], *args: P.args, **kwargs: P.kwargs
) -> Callable[[Connection], R]:
    """Return an operation as a transaction's work, which enters `scope` before anything else."""

    def work(connection: Connection) -> R:
        connection.enter_scope(scope)
        return operation(connection, scope, *args, **kwargs)

    return work


def _bind(operation: Operation[Any, Any], face: Face | AsyncFace) -> Callable[..., Any]:
    bound = face._bound
    function, scope, engine = operation.function, bound.scope, bound.engine

    def blocking(*args: Any, **kwargs: Any) -> Any:
        operation.prepare(scope, args, kwargs)
        run = _writing(engine, operation, "write") if operation.writes else engine.read
        return run(work_in(scope, function, *args, **kwargs))

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        operation.prepare(scope, args, kwargs)
        run = _writing(engine, operation, "awrite") if operation.writes else engine.aread
        return await run(work_in(scope, function, *args, **kwargs))

    method: Callable[..., Any] = blocking if isinstance(face, Face) else awaited
    update_wrapper(method, function)
    vars(method)["__signature__"] = _shown(function)
    return method


@cache
def _shown(function: Callable[..., Any]) -> inspect.Signature:
    """Return an operation's signature without what a face binds; a server makes a face for every turn."""
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[2:])


def _writing(engine: Engine, operation: Operation[Any, Any], name: str) -> Callable[..., Any]:
    """Return the engine's method that writes: the one that frees space for it where the operation makes some."""
    plain: Callable[..., Any] = getattr(engine, name)
    return getattr(engine, f"{name}_freeing_space", plain) if operation.frees_space else plain


def reads(function: Callable[Concatenate[Connection, Scope, P], R], *, role: Role = Role.READ) -> Operation[P, R]:
    """Make a method of an operation that changes nothing."""
    return Operation(function, writes=False, role=role)


def writes(
    function: Callable[Concatenate[Connection, Scope, P], R],
    *,
    role: Role = Role.WRITE,
    frees_space: bool = False,
    before: Callable[..., None] | None = None,
) -> Operation[P, R]:
    """Make a method of an operation that changes the record; `frees_space` if it makes room on a full disk.

    `before` is called with the operation's arguments, outside its transaction, whose lock others wait for.
    """
    return Operation(function, writes=True, role=role, frees_space=frees_space, before=before)


def operations_of(group: type) -> Iterator[tuple[str, Operation[Any, Any]]]:
    """Yield a group's operations by name."""
    for cls in group.__mro__:
        for name, member in vars(cls).items():
            if isinstance(member, Operation):
                yield name, member
