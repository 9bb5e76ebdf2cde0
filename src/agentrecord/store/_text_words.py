"""The words of a text as the search index has them, and where in a text the words of a query stand."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence

Term = tuple[Sequence[str], bool]
"""Words that stand side by side, and whether the last of them is a beginning."""

EXCERPT_WORDS = 24
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_MARKS = re.compile("[\u0300-\u0331]")
"""What FTS5 takes for a part of the letter before it, where no character is both."""
_MARKED_WORD = re.compile("[^\\W_](?:[^\\W_]|[\u0300-\u0331])*", re.UNICODE)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, each letter in one way of writing it, and one at any end of a word."""
    if not text.isascii():
        alike = unicodedata.normalize("NFC", text.lower()).replace("\u03c2", "\u03c3")
        return _WORD.findall(_MARKS.sub("", alike))
    return _WORD.findall(text.lower())


def excerpt(text: str, terms: Sequence[Term]) -> tuple[str, ...]:
    """Return the part of a text that has most of some terms: what stands before one, the term, what follows, and so on.

    Letters are shown in their one way of writing.
    """
    shown = unicodedata.normalize("NFC", text)
    spans = [found.span() for found in _MARKED_WORD.finditer(shown)]
    said = ["".join(words(shown[start:end])) for start, end in spans]
    matches = _matches(said, terms)
    first = _best(matches)
    # A quarter of it stands before the first term that it is shown for.
    begin = max(0, min(first - EXCERPT_WORDS // 4, len(said) - EXCERPT_WORDS))
    end = min(len(said), begin + EXCERPT_WORDS)
    parts, place = [], 0 if begin == 0 else spans[begin][0]
    told = "" if begin == 0 else "…"
    for start, (stop, _) in sorted(matches.items()):
        if begin <= start and stop <= end and spans[start][0] >= place:
            parts += [told + shown[place : spans[start][0]], shown[spans[start][0] : spans[stop - 1][1]]]
            told, place = "", spans[stop - 1][1]
    rest = shown[place:] if end == len(said) else shown[place : spans[end - 1][1]] + "…"
    return (*parts, told + rest)


def _matches(said: Sequence[str], terms: Sequence[Term]) -> Mapping[int, tuple[int, int]]:
    """Return where terms begin, each with where it ends and which one it is; the longest of those that begin at one."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(said):
        places[word].append(place)
    found: dict[int, tuple[int, int]] = {}
    for which, (wanted, is_beginning) in enumerate(terms):
        *whole, last = wanted
        firsts = [word for word in places if word.startswith(last)] if is_beginning and not whole else [wanted[0]]
        for start in [place for first in firsts for place in places.get(first, ())]:
            end = start + len(wanted)
            final = said[end - 1] if end <= len(said) else ""
            fits = final.startswith(last) if is_beginning else final == last
            if fits and said[start : end - 1] == whole and end > found.get(start, (0, 0))[0]:
                found[start] = end, which
    return found


def _best(matches: Mapping[int, tuple[int, int]]) -> int:
    """Return the first of the words from which on an excerpt has the most different terms; 0 where there is none."""
    starts = sorted(matches)

    def has(place: int) -> int:
        reach = starts[place] - EXCERPT_WORDS // 4 + EXCERPT_WORDS
        near = [matches[start] for start in starts[place : place + EXCERPT_WORDS]]
        return len({which for end, which in near if end <= reach})

    best = max(range(len(starts)), key=lambda place: (has(place), -place), default=None)
    return 0 if best is None else starts[best]
