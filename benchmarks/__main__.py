"""`python -m benchmarks [name …] [--quick] [--write]`: run benchmarks, print their ratios, write them down."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks.common import Scale, Section, table, versions

NAMES = (
    "turns", "concurrency", "bulk", "transcripts", "otlp", "reading", "pages", "persistence", "runs", "serving",
    "startup",
)  # fmt: skip
REPORT = Path(__file__).parent / "README.md"
INTRODUCTION = """\
# Benchmarks

`make bench` runs them all (`make bench ARGS="turns --quick"` some, with small counts; `--write` writes this page).

Every figure is a ratio from one run on one machine: ours and the baseline take turns, each figure is the median of
the ratios within one turn, so that a slow moment meets both sides. The times beside it are medians and say something
about this machine only. The CPU column is the same ratio in CPU time of the process, which other work on the machine
disturbs less. Nothing here is a timed test."""


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small counts: done within a minute")
    parser.add_argument("--write", action="store_true", help="write benchmarks/README.md from this run")
    found = parser.parse_args(given)
    unknown = set(found.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if found.write and found.names:
        parser.error("--write writes the whole page: leave the names out")
    return found


def _lines(section: Section) -> list[str]:
    notes = [f"- {note}" for note in section.notes]
    if section.causes and any(figure.is_met is False for figure in section.figures):
        notes += ["", f"Why goals are missed here: {section.causes}"]
    return [
        f"## {section.title}",
        "",
        section.explanation,
        "",
        *table(section.figures),
        "",
        *notes,
        *([""] * bool(notes)),
    ]


def main(given: Sequence[str]) -> int:
    """Run what was asked for."""
    chosen = _arguments(given)
    scale = Scale(quick=chosen.quick)
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    counts = "small counts, for a quick look" if chosen.quick else "full counts"
    head = [INTRODUCTION, "", f"This run: {when}, {counts}; {versions()}.", ""]
    print("\n".join(head), flush=True)
    lines = head
    for name in chosen.names or NAMES:
        run: Callable[[Scale], Section] = import_module(f"benchmarks.{name}").run
        began = time.monotonic()
        part = _lines(run(scale))
        print("\n".join(part), f"({name}: {time.monotonic() - began:.0f} s)\n", sep="\n", flush=True)
        lines = [*lines, *part]
    if chosen.write:
        REPORT.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
