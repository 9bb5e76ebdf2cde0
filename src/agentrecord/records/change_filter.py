"""Which changes of the feed are wanted: `kind:error,run user:bob -status:success cost:>0.05 "free text"`.

The words mean what they mean in the lists of runs and sessions; what a change does not know matches nothing.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from agentrecord.records.change import Change, ChangeKind
from agentrecord.records.measures import WordKind, bounds_of
from agentrecord.records.query import Query, Term, Value, Word, parse

_TEXTS: Mapping[str, tuple[str, str, Callable[[Change], str | None]]] = {
    "status": ("how it stands", "status:error", lambda change: change.status),
    "user": ("whose it is", "user:bob@acme.io", lambda change: change.user),
    "agent": ("the agent at work", "agent:support-*", lambda change: change.agent),
    "session": ("the session's own id", "session:order-17", lambda change: change.session_id),
    "run": ("the run's own id", "run:nightly-*", lambda change: change.run_id),
    "model": ("the model that was called", "model:claude-*", lambda change: _line(change, ChangeKind.LLM_CALL)),
    "tool": ("the tool that was used", "tool:Bash", lambda change: _line(change, ChangeKind.TOOL_CALL)),
}
_KINDS = tuple(str(kind) for kind in ChangeKind)
CHANGE_WORDS: Mapping[str, Word] = {
    "kind": Word(name="kind", kind=WordKind.CHOICE, help="what it is", example="kind:error,run", choices=_KINDS),
    **{
        name: Word(name=name, kind=WordKind.TEXT, help=told, example=example)
        for name, (told, example, _) in _TEXTS.items()
    },
    "cost": Word(name="cost", kind=WordKind.MONEY, help="what it cost, in dollars", example="cost:>0.05"),
}
"""The words that a filter of changes knows."""


def _line(change: Change, kind: ChangeKind) -> str | None:
    return change.line if change.kind is kind else None


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """What a change must be: of one of the `kinds`, and what the query says."""

    kinds: frozenset[ChangeKind] = frozenset(ChangeKind)
    query: Query = Query()  # noqa: RUF009  (frozen, as all records are)

    def matches(self, change: Change) -> bool:
        """Say whether a change is wanted."""
        return change.kind in self.kinds and all(_holds(term, change) for term in self.query.terms)


def change_filter(text: str | None = None, kinds: Collection[ChangeKind] = ()) -> ChangeFilter:
    """Return the filter that a text and some kinds make; raise `InvalidFilter` for words that are none.

    Kinds that the text asks for narrow those that are given, so that a reader of the feed can leave the rest aside.
    """
    query = Query() if not text else parse(text, CHANGE_WORDS)
    wanted = frozenset(kinds or ChangeKind)
    for term in query.terms:
        if term.word == "kind":
            named = {ChangeKind(value.text) for value in term.values}
            wanted = wanted - named if term.is_negated else wanted & named
    return ChangeFilter(wanted, query)


def _holds(term: Term, change: Change) -> bool:
    found = any(_is(term.word, value, change) for value in term.values)
    return found is not term.is_negated


def _is(word: str | None, value: Value, change: Change) -> bool:
    if word is None:
        return _pattern(value).search(change.line) is not None
    if word == "kind":
        return change.kind == value.text
    if word == "cost":
        bounds = bounds_of(word, WordKind.MONEY, value.text)
        low, high = bounds.low, bounds.high
        cost = change.cost_nanos
        return cost is not None and (low is None or low <= cost) and (high is None or cost <= high)
    found = _TEXTS[word][2](change)
    if found is None:
        return False
    is_pattern = "*" in value.text and not value.is_quoted
    return _pattern(value).fullmatch(found) is not None if is_pattern else found == value.text


def _pattern(value: Value) -> re.Pattern[str]:
    """Return what matches a value in any case; a `*` outside quotes stands for anything."""
    text = re.escape(value.text) if value.is_quoted else ".*".join(map(re.escape, value.text.split("*")))
    return re.compile(text, re.IGNORECASE | re.DOTALL)
