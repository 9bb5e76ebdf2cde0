"""Which rows of a waterfall are folded: by name, or all but those named; what is chosen is always in sight."""

from uuid import UUID

import pytest

from agentrecord.dashboard.run_items import ALL, MOST_OPEN, NO_FOLDS, Folds, Item, folded, folds_of, items_of
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.run_tree import RunSpan, SpanKind

TREE = {1: 0, 2: 1, 3: 2, 4: 3, 5: 2, 6: 1, 7: 1, 8: 2}
"""Pieces by their numbers, each with how many there are above it."""


def named(number: int) -> UUID:
    return UUID(int=number)


SPANS = [
    RunSpan(id=named(number), kind=SpanKind.RUN, name=str(number), depth=depth, parent=named(number - 1))
    for number, depth in TREE.items()
]


def rows(folds: Folds, chosen: int | None = None) -> list[Item]:
    shown = None if chosen is None else named(chosen)
    return list(items_of(SPANS, are_grouped=False, is_open=(), folds=folds, shown=shown))


def numbers(folds: Folds, chosen: int | None = None) -> list[int]:
    return [item.span.id.int for item in rows(folds, chosen)]


def folding(*ids: int, is_all: bool = False) -> Folds:
    return Folds(ids=tuple(map(named, ids)), is_all=is_all)


def test_nothing_below_a_folded_piece_is_a_row_and_its_row_counts_it() -> None:
    assert numbers(NO_FOLDS) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert numbers(folding(2)) == [1, 2, 6, 7, 8]
    assert numbers(folding(2, 3, 7)) == [1, 2, 6, 7]
    assert numbers(folding(1)) == [1]
    assert numbers(folding(6, 99)) == [1, 2, 3, 4, 5, 6, 7, 8], "nothing is below it, or it is not there"
    assert [(item.span.id.int, item.below, item.is_folded) for item in rows(folding(2))] == [
        (1, 7, False), (2, 3, True), (6, 0, False), (7, 1, False), (8, 0, False),
    ]  # fmt: skip


def test_all_is_folded_but_the_whole_and_what_is_named() -> None:
    assert numbers(folding(is_all=True)) == [1, 2, 6, 7]
    assert numbers(folding(2, is_all=True)) == [1, 2, 3, 5, 6, 7]
    assert numbers(folding(1, is_all=True)) == [1]


def test_what_is_around_the_chosen_piece_is_open_and_a_folded_row_stands_for_what_is_in_it() -> None:
    assert numbers(folding(2, 3, 7), chosen=4) == [1, 2, 3, 4, 5, 6, 7]
    assert numbers(folding(2, 3, 7), chosen=3) == [1, 2, 3, 5, 6, 7]
    assert numbers(folding(is_all=True), chosen=8) == [1, 2, 6, 7, 8]
    place = [span.id for span in SPANS].index(named(4))
    assert [item.span.id.int for item in rows(folding(2)) if item.holds(place)] == [2]
    assert [item.span.id.int for item in rows(NO_FOLDS) if item.holds(place)] == [4]


@pytest.mark.parametrize("is_all", [False, True])
def test_each_row_leads_to_the_same_rows_with_itself_folded_or_not_and_back(is_all: bool) -> None:
    for ids in ((), (2,), (3, 7), (1,)):
        for chosen in (None, 4, 8):
            folds = folding(*ids, is_all=is_all)
            place = None if chosen is None else [span.id for span in SPANS].index(named(chosen))
            for item in rows(folds, chosen):
                if not item.below:
                    continue
                changes = folded(item, folds, place)
                after = folds_of({"fold": changes["fold"] or ""})
                kept = item.span.id.int if "span" in changes else chosen
                assert "span" not in changes or changes["span"] == str(item.span.id)
                (other,) = [one for one in rows(after, kept) if one.span.id == item.span.id]
                assert other.is_folded is not item.is_folded, (ids, chosen, item.span.name)
                back = folds_of({"fold": folded(other, after, place)["fold"] or ""})
                assert numbers(back, chosen) == numbers(folds, chosen)


def test_an_address_names_so_many_and_the_first_named_gives_way() -> None:
    folds = folding(*range(100, 100 + MOST_OPEN))
    changes = folded(rows(folds)[0], folds, None)
    after = folds_of({"fold": changes["fold"] or ""})
    assert after.ids == tuple(map(named, [*range(101, 100 + MOST_OPEN), 1]))
    with pytest.raises(InvalidFilter, match="name at most 50"):
        folds_of({"fold": ",".join(str(named(number)) for number in range(MOST_OPEN + 1))})
    with pytest.raises(InvalidFilter, match="is no piece of this run"):
        folds_of({"fold": f"{ALL},x"})
