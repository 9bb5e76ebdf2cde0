"""The words of a list: each has a meaning for people, and a condition for the rows of one table.

A list keeps its words in one table (`Words`), from which its filter, its completion and its reference are made.
Conditions stay inside the scope: what looks into another table asks for the project, and the user, there too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from agentrecord.records.measures import WordKind, bounds_of
from agentrecord.records.query import Query, Term, Value, Word, parse
from agentrecord.records.scope import Scope
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.schema.types import Whole
from agentrecord.schema.types import Words as WordsType
from agentrecord.store._sql import contains

Column = ColumnElement[Any]
Condition = Callable[[Scope, Sequence[Value]], ColumnElement[bool]]
TOKEN_COUNTERS = tuple(name for name in USAGE_COUNTERS if name.endswith("_tokens") and name != "reasoning_tokens")
"""The disjoint classes of tokens: reasoning is a part of the output."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A word and the condition that its values stand for."""

    word: Word
    condition: Condition


class Words:
    """The words of one list, and the columns in which free text is looked for."""

    def __init__(self, rules: Iterable[Rule], *, free: Sequence[Column]) -> None:
        """Take the words' rules and the columns of free text."""
        self._rules = {rule.word.name: rule for rule in rules}
        self._free = tuple(free)
        self.known: Mapping[str, Word] = {name: rule.word for name, rule in self._rules.items()}

    def parse(self, text: str) -> Query:
        """Return a filter's text as a query; raise `InvalidFilter` for what cannot be understood."""
        return parse(text, self.known)

    def conditions(self, scope: Scope, text: str | None) -> list[ColumnElement[bool]]:
        """Return what a filter's text asks of each row; raise `InvalidFilter` for what cannot be understood."""
        return [self._condition(scope, term) for term in self.parse(text).terms] if text else []

    def _condition(self, scope: Scope, term: Term) -> ColumnElement[bool]:
        if term.word is None:
            found = or_(*[holding(column, value) for column in self._free for value in term.values])
        else:
            found = self._rules[term.word].condition(scope, term.values)
        # What is not known is not the value either: it stays when the value is excluded.
        return not_(func.coalesce(found, false())) if term.is_negated else found


def text_word(name: str, help_: str, example: str, condition: Condition) -> Rule:
    """Return a word of text; `condition` says where it must be."""
    return Rule(Word(name=name, kind=WordKind.TEXT, help=help_, example=example), condition)


def column_word(name: str, help_: str, example: str, column: Column) -> Rule:
    """Return a word of text that one column must be."""
    return text_word(name, help_, example, lambda scope, values: matching(column, values))


def choice_word(name: str, help_: str, example: str, choices: Mapping[str, ColumnElement[bool]]) -> Rule:
    """Return a word whose values are a closed set, each with the condition that it stands for."""
    word = Word(name=name, kind=WordKind.CHOICE, help=help_, example=example, choices=tuple(choices))
    return Rule(word, lambda scope, values: or_(*[choices[value.text] for value in values]))


def measured_word(name: str, kind: WordKind, help_: str, example: str, column: Column) -> Rule:
    """Return a word whose values are compared with a number in the smallest unit: nano-dollars, microseconds."""
    number = type_coerce(column, Whole())

    def one(value: Value) -> ColumnElement[bool]:
        found = bounds_of(name, kind, value.text)
        asked = []
        if found.low is not None:
            asked.append(number >= found.low)
        if found.high is not None:
            asked.append(number <= found.high)
        return and_(*asked)

    word = Word(name=name, kind=kind, help=help_, example=example)
    return Rule(word, lambda scope, values: or_(*[one(value) for value in values]))


def matching(column: Column, values: Sequence[Value]) -> ColumnElement[bool]:
    """Return the condition that `column` is one of `values`; a `*` outside quotes stands for anything."""
    exact = [value.text for value in values if not _is_pattern(value)]
    found = [_like(column, value.text) for value in values if _is_pattern(value)]
    if exact:
        found.append(column == exact[0] if len(exact) == 1 else column.in_(exact))
    return or_(*found)


def _is_pattern(value: Value) -> bool:
    return "*" in value.text and not value.is_quoted


def _like(column: Column, pattern: str) -> ColumnElement[bool]:
    return func.lower(column).like(_escaped(pattern.lower()).replace("*", "%"), escape="/")


def _escaped(text: str) -> str:
    return text.replace("/", "//").replace("%", "/%").replace("_", "/_")


def holding(column: Column, value: Value) -> ColumnElement[bool]:
    """Return the condition that `column` holds a text; a `*` outside quotes stands for anything."""
    return _like(column, f"*{value.text}*") if _is_pattern(value) else contains(column, value.text)


def beginning(column: Column, prefix: str) -> ColumnElement[bool]:
    """Return the condition that `column` begins with `prefix`, whatever its case."""
    return func.lower(column).startswith(prefix.lower(), autoescape=True)


def tokens_of(table: Any) -> Column:
    """Return all tokens of a row's usage counters, each counted once."""
    found = table.c[TOKEN_COUNTERS[0]]
    for name in TOKEN_COUNTERS[1:]:
        found = found + table.c[name]
    return type_coerce(found, Whole())


class Member(FunctionElement[str]):
    """The text of one member of a column's JSON object, NULL where there is none, or where it is no text."""

    inherit_cache = False
    type = WordsType()

    def __init__(self, column: Column, key: str) -> None:
        """Take a column of JSON text and the member's key, which is ours, never a caller's."""
        self.key = key
        super().__init__(column)


@compiles(Member)
def _on_sqlite(element: Member, compiler: SQLCompiler, **more: Any) -> str:
    place = f"({compiler.process(element.clauses, **more)}, '$.\"{element.key}\"')"
    return f"CASE json_type{place} WHEN 'text' THEN json_extract{place} END"


@compiles(Member, "postgresql")
def _on_postgresql(element: Member, compiler: SQLCompiler, **more: Any) -> str:
    told = f"({compiler.process(element.clauses, **more)})::jsonb"
    return f"CASE jsonb_typeof({told} -> '{element.key}') WHEN 'string' THEN {told} ->> '{element.key}' END"
