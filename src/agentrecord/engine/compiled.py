"""Statements in a dialect's words. Of those that differ in nothing but their values only the first is compiled.

To compile takes SQLAlchemy about half a millisecond; to tell that a statement is like another one, a tenth of that.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from operator import itemgetter
from typing import Any, cast  # `Any`: rows and parameters are whatever the statement says

from sqlalchemy import BindParameter, Dialect, Executable
from sqlalchemy.sql import ClauseElement

Row = tuple[Any, ...]
MANY = 8
"""From so many rows on it pays to read them column by column."""

MOST_KEPT = 500
"""How many are kept before all are let go: there are as many as filters that people think of."""

MOST_LISTED = 500
"""With how many values in lists a statement is kept: each length of a list is another statement."""

_kept: dict[object, "_Alike"] = {}


class Compiled:
    """A statement in one dialect's words, with the order of its parameters and how its rows are read."""

    __slots__ = ("columns", "decoders", "defaults", "encoded", "names", "sql", "take")

    def __init__(self, statement: Executable, dialect: Dialect, compiled: Any) -> None:
        """Take what SQLAlchemy `compiled` for `statement`."""
        self.sql = str(compiled)
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self.defaults: Mapping[str, object] = dict(compiled.params)
        self.take = _taker(self.names)
        kinds = [compiled.binds[name].type if name in compiled.binds else None for name in self.names]
        # What is written was checked before; what is only looked for was not.
        writes = bool(compiled.isinsert or compiled.isupdate)
        self.encoded: tuple[int, ...] = tuple(
            [place for place, kind in enumerate(kinds) if not (writes and getattr(kind, "is_stored_as_is", False))]
        )
        exported = cast(Any, statement).exported_columns if hasattr(statement, "exported_columns") else ()
        columns = list(exported)
        self.columns: tuple[str, ...] = tuple(column.key for column in columns)
        decoders = [
            column.type.decoder(dialect.name) if hasattr(column.type, "decoder") else None for column in columns
        ]
        self.decoders = tuple([(place, decode) for place, decode in enumerate(decoders) if decode is not None])

    def values(self, given: Mapping[str, object]) -> Sequence[object]:
        """Return `given` in the order of the parameters; what it lacks is the statement's own."""
        try:
            return self.take(given)
        except KeyError:
            return self.take({**self.defaults, **given})

    def read(self, row: Row) -> Row:
        """Turn a driver's row into ours."""
        values = list(row)
        for place, decode in self.decoders:
            value = values[place]
            if value is not None:
                values[place] = decode(value)
        return tuple(values)

    def read_all(self, rows: list[Row]) -> list[Row]:
        """Turn a driver's rows into ours: many of them column by column, which takes half as long."""
        if not self.decoders:
            return rows
        if len(rows) < MANY:
            return [self.read(row) for row in rows]
        columns: list[Sequence[object]] = list(zip(*rows, strict=True))
        for place, decode in self.decoders:
            columns[place] = [None if value is None else decode(value) for value in columns[place]]
        return list(zip(*columns, strict=True))


def _taker(names: tuple[str, ...]) -> Callable[[Mapping[str, object]], Sequence[object]]:
    if len(names) > 1:
        return cast("Callable[[Mapping[str, object]], Sequence[object]]", itemgetter(*names))
    return lambda given: [given[name] for name in names]


class _Alike:
    """The words of all statements that differ in nothing but their values."""

    def __init__(self, first: Compiled, compiled: Any, binds: Sequence[BindParameter[Any]]) -> None:
        """Find out which parameters have the values of `binds`, which are those of the first one."""
        expanded = compiled._post_compile_expanded_state
        lists: Mapping[str, Sequence[str]] = {} if expanded is None else expanded.parameter_expansion
        places: list[tuple[str, int, int | None]] = []
        for at, bind in enumerate(binds):
            for own in compiled._cache_key_bind_match[0][bind]:
                name = compiled.bind_names.get(own)
                if name in lists:
                    places += [(one, at, within) for within, one in enumerate(lists[name])]
                elif name is not None:
                    places.append((name, at, None))
        self._places = tuple(dict.fromkeys(places))
        given = {name for name, _, _ in places}
        self._words = copy(first)
        self._words.defaults = {name: value for name, value in first.defaults.items() if name not in given}

    def with_values(self, binds: Sequence[BindParameter[Any]]) -> Compiled:
        """Return the words with the values of another one's `binds`."""
        given: list[Any] = [bind.effective_value for bind in binds]
        found = copy(self._words)
        own = {name: given[at] if within is None else given[at][within] for name, at, within in self._places}
        found.defaults = {**found.defaults, **own}
        return found


def compile_(statement: Executable, dialect: Dialect, schema: str | None, *, is_kept: bool = True) -> Compiled:
    """Return `statement` in `dialect`'s words, from what is kept if one like it was compiled.

    Without `is_kept` it is compiled anew, and not kept.
    """
    cache_key = cast(Any, statement)._generate_cache_key() if is_kept else None
    binds = () if cache_key is None else cache_key.bindparams
    # A list of values has a parameter for each.
    lengths = [len(cast(Any, bind.value)) for bind in binds if bind.expanding]
    if sum(lengths) > MOST_LISTED:
        cache_key = None
    key = None if cache_key is None else (dialect.name, schema, cache_key.key, *lengths)
    alike = _kept.get(key)
    if alike is not None:
        return alike.with_values(binds)
    compiled: Any = cast(ClauseElement, statement).compile(
        dialect=dialect,
        cache_key=cache_key,
        compile_kwargs={"render_postcompile": True},
        schema_translate_map={None: schema} if schema else None,
        render_schema_translate=bool(schema),
    )
    found = Compiled(statement, dialect, compiled)
    # Values that stand in the words themselves are no parameters; each of a list of rows has several.
    is_plain = not compiled.literal_execute_params and not any(bind.type._is_tuple_type for bind in binds)
    if key is not None and is_plain:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[key] = _Alike(found, compiled, binds)
    return found
