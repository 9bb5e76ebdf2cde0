"""`agentrecord compare A B`: two runs side by side."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from agentrecord.cli import words
from agentrecord.cli.filtering import tell_prices, warn_of_unpriced
from agentrecord.cli.opening import reading
from agentrecord.cli.output import Column, Form, Listing, chosen_form, encode, output_options, show, write_json
from agentrecord.cli.run import site
from agentrecord.cli.terminal import out, say
from agentrecord.records.run import Run
from agentrecord.records.run_comparison import ComparedPart, RunComparison, SpanSums, compared
from agentrecord.records.usage import dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A figure of both runs; `write` puts it into words."""

    part: str
    figure: str
    a: int | None
    b: int | None
    write: Callable[[int | None], str]

    @property
    def delta(self) -> int | None:
        """By how much the second is more than the first; None where either is not known."""
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def shown_delta(self) -> str:
        """The difference in words."""
        if self.delta is None:
            return words.NONE
        return "0" if not self.delta else f"{'+' if self.delta > 0 else '-'}{self.write(abs(self.delta))}"


def _money(nanos: int | None) -> str:
    return words.NONE if nanos is None else words.money(dollars(nanos))


def _cost(run: Run) -> int | None:
    usage = run.subtree or run.usage
    return None if usage.calls == usage.unpriced_calls else usage.cost_nanos


def lines(found: RunComparison) -> Iterator[Line]:
    """Yield the figures of both runs, and then those of each model, tool and phase."""
    a, b = found.sums_a, found.sums_b
    usage_a, usage_b = (run.subtree or run.usage for run in (found.a, found.b))
    whole: tuple[tuple[str, int | None, int | None, Callable[[int | None], str]], ...] = (
        ("duration_ms", a.duration_ms, b.duration_ms, words.duration),
        ("cost_nanos", _cost(found.a), _cost(found.b), _money),
        ("tokens", usage_a.total_tokens, usage_b.total_tokens, words.count),
        ("llm_calls", usage_a.calls, usage_b.calls, words.count),
        ("tool_calls", a.tools.count, b.tools.count, words.count),
        ("errors", a.errors, b.errors, words.count),
    )
    for name, one, other, write in whole:
        yield Line(part="run", figure=name, a=one, b=other, write=write)
    for kind, parts in (("model", found.models), ("tool", found.tools), ("phase", found.phases)):
        for part in parts:
            yield from _part(kind, part)


def _part(kind: str, part: ComparedPart) -> Iterator[Line]:
    a, b = part.a or SpanSums(), part.b or SpanSums()
    name = f"{kind} {part.name}"
    yield Line(part=name, figure="count", a=a.count, b=b.count, write=words.count)
    if a.failed or b.failed:
        yield Line(part=name, figure="failed", a=a.failed, b=b.failed, write=words.count)
    yield Line(part=name, figure="duration_ms", a=a.duration_ms, b=b.duration_ms, write=words.duration)
    if a.cost_nanos is not None or b.cost_nanos is not None:
        yield Line(part=name, figure="cost_nanos", a=a.cost_nanos, b=b.cost_nanos, write=_money)


_COLUMNS: list[Column[Line]] = [
    Column(name="part", title="of", value=lambda line: line.part, flexible=True),
    Column(name="figure", value=lambda line: line.figure,
           text=lambda line: line.figure.removesuffix("_ms").removesuffix("_nanos").replace("_", " ")),
    Column(name="a", value=lambda line: line.a, text=lambda line: line.write(line.a), right=True),
    Column(name="b", value=lambda line: line.b, text=lambda line: line.write(line.b), right=True),
    Column(name="delta", title="b - a", value=lambda line: line.delta, text=lambda line: line.shown_delta, right=True),
]  # fmt: skip


@click.command("compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@output_options
def command(a: str, b: str) -> None:
    """Show two runs side by side: what they came to, and the same by model, tool and phase.

    \b
    Examples:
      agentrecord compare A B
      agentrecord compare A B --json
    """
    with reading() as store:
        runs = [store.runs.get(name, with_subtree=True) for name in (a, b)]
        trees = [store.pages.run_tree(run.id) for run in runs]
    found = compared(runs[0], trees[0], runs[1], trees[1])
    for name, run in zip("ab", runs, strict=True):
        warn_of_unpriced(run.subtree or run.usage, f"the cost of {name}")
    form = chosen_form()
    if form is Form.JSON:
        say(encode(found))
        return
    rows = list(lines(found))
    if form is Form.JSONL:
        for line in rows:
            write_json({"part": line.part, "figure": line.figure, "a": line.a, "b": line.b, "delta": line.delta})
        return
    show(Listing(columns=_COLUMNS, rows=rows))
    if form is Form.TABLE:
        for name, run in zip("ab", runs, strict=True):
            tell_prices(run.prices, f"prices of {name}")
        say(out().style(f"{site()}/runs/compare?a={runs[0].id}&b={runs[1].id}", dim=True))
