"""What people type into a filter: `status:error user:bob@acme.io cost:>0.05 -env:staging "free text" word`.

A text is terms, all of which must hold. A term is free text, or a word with its values, any of which may hold
(`status:error,running`). `-` before a term turns it around; quotes make a value literal; outside of them `*` stands
for anything. Numbers and instants are compared (`>`, `>=`, `<`, `<=`) or bounded (`1..5`). Which words there are, the
list says.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentrecord.exceptions import InvalidFilter
from agentrecord.records.measures import WordKind, bounds_of

MAX_CHARS = 2_000
MAX_TERMS = 50
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*(?=:)")
_NAMED = re.compile(r"-?[A-Za-z][A-Za-z0-9_.-]*:")
_NEXT = re.compile(r"\s-?[A-Za-z][A-Za-z0-9_.-]*:")
_RAW = re.compile(r'[^\s",]+')
_FREE = re.compile(r'[^\s"]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word that a list knows: what its values are, what it asks for, and an example of its use."""

    name: str
    kind: WordKind
    help: str
    example: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value as it was typed; a quoted one is literal."""

    text: str
    is_quoted: bool = False

    def __str__(self) -> str:
        """Return the value as it can be typed."""
        if not self.is_quoted:
            return self.text
        return '"' + self.text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word and its values, or free text where `word` is None."""

    word: str | None
    values: tuple[Value, ...]
    is_negated: bool = False

    def __str__(self) -> str:
        """Return the term as it can be typed."""
        listed = ",".join(map(str, self.values))
        return f"{'-' if self.is_negated else ''}{'' if self.word is None else self.word + ':'}{listed}"


@dataclass(frozen=True, slots=True)
class Query:
    """Terms, all of which must hold."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        """Return the query as it can be typed."""
        return " ".join(map(str, self.terms))

    def without(self, place: int) -> "Query":
        """Return the query but for one of its terms."""
        return Query(self.terms[:place] + self.terms[place + 1 :])

    def adding(self, word: str, value: str) -> "Query":
        """Return the query with one more term; it is there already, or it is added."""
        term = Term(word=word, values=(written(value),))
        return self if term in self.terms else Query((*self.terms, term))


def written(text: str) -> Value:
    """Return a text as a value that means just this text: quoted where it would mean something else."""
    plain = _RAW.fullmatch(text) is not None and "*" not in text and ".." not in text and text[0] not in "<>="
    return Value(text=text, is_quoted=not plain)


def parse(text: str, known: Mapping[str, Word]) -> Query:
    """Return a text as a query; raise `InvalidFilter` for what cannot be understood, with the mend.

    Words must be `known`, and their values of the word's kind.
    """
    found = _Reader(text).query()
    for term in found.terms:
        if term.word is not None:
            _check(term, known)
    return found


def _check(term: Term, known: Mapping[str, Word]) -> None:
    name = term.word or ""
    word = known.get(name)
    if word is None:
        shown = f'"{name}:{term.values[0].text}"'
        raise InvalidFilter(
            name, term.values[0].text, f"is no word here; there are {', '.join(known)}. To look for the text: {shown}"
        )
    for value in term.values:
        if word.kind is WordKind.CHOICE and value.text not in word.choices:
            raise InvalidFilter(name, value.text, f"is none; use {', '.join(word.choices)}")
        if word.kind.is_measured:
            bounds_of(name, word.kind, value.text)


class _Reader:
    """Reads a text from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def query(self) -> Query:
        _refuse_unreadable(self.text)
        terms: list[Term] = []
        self._space()
        while self.at < len(self.text):
            terms.append(self._term())
            self._space()
        if len(terms) > MAX_TERMS:
            raise InvalidFilter("q", self.text, f"has {len(terms)} terms; use at most {MAX_TERMS}")
        return Query(tuple(terms))

    def _space(self) -> None:
        self.at = self._match(_SPACE).end()

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self._odd("a value")
        return found

    def _term(self) -> Term:
        start = self.at
        is_negated = self.text[start] == "-" and not self._ends_at(start + 1)
        self.at += is_negated
        word = _WORD.match(self.text, self.at)
        if word is None:
            return Term(word=None, values=(self._value(_FREE),), is_negated=is_negated)
        name = word[0].lower()
        self.at = word.end() + 1
        values = [self._value(_RAW, name)]
        while self.text.startswith(",", self.at):
            self.at += 1
            values.append(self._value(_RAW, name))
        self._refuse_more()
        return Term(word=name, values=tuple(values), is_negated=is_negated)

    def _value(self, raw: re.Pattern[str], word: str | None = None) -> Value:
        if word is not None and self._ends_at(self.at):
            raise InvalidFilter(word, "", f"has no value; write {word}:VALUE")
        if self.text.startswith('"', self.at):
            return self._quoted(word)
        found = self._match(raw)
        self.at = found.end()
        if word is None:
            self._refuse_more()
        return Value(text=found[0])

    def _quoted(self, word: str | None) -> Value:
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            raise InvalidFilter(word or "q", self.text[self.at :], 'has a quote that does not end; put " after it')
        self.at = found.end()
        if word is None:
            self._refuse_more()
        return Value(text=_ESCAPED.sub(r"\1", found[1]), is_quoted=True)

    def _refuse_more(self) -> None:
        if not self._ends_at(self.at):
            raise self._odd("a space")

    def _ends_at(self, place: int) -> bool:
        return place >= len(self.text) or self.text[place].isspace()

    def _odd(self, wanted: str) -> InvalidFilter:
        said = f'{wanted} must stand there; put a value that holds " or , in quotes, with \\" for a quote'
        return InvalidFilter("q", self.text[self.at :], said)


def _refuse_unreadable(text: str) -> None:
    if len(text) > MAX_CHARS:
        raise InvalidFilter("q", text, f"has {len(text):,} characters; use at most {MAX_CHARS:,}")
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidFilter("q", ascii(text), "holds a character that no text in the record has; leave it out")


def plain(text: str | None) -> str | None:
    """Return words that may hold anything as a query that looks for them as they stand."""
    return None if text is None else str(Value(text=text, is_quoted=True))


def joined(texts: Iterable[str]) -> str | None:
    """Return what a command line was given as one query: what has a space in it was quoted there."""
    return " ".join(_as_typed(text) for text in texts if text.strip()) or None


def _as_typed(text: str) -> str:
    if '"' in text or not any(char.isspace() for char in text.strip()):
        return text
    found = _NAMED.match(text)
    if found is None:
        return str(Value(text=text, is_quoted=True))
    if _NEXT.search(text, found.end()):
        return text
    return found[0] + str(Value(text=text[found.end() :], is_quoted=True))
