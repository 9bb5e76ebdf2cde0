"""Long work says that it goes on: on one line of a terminal, elsewhere a line from time to time."""

import os
import re
import subprocess
import sys

import pytest

WORK = """
import time
import click
from agentrecord.cli.waiting import working

@click.command()
def work():
    with working("counting"):
        time.sleep({seconds})
    click.echo("done")

work()
"""


def told(seconds: float, stderr: int) -> None:
    """Work for so long, with standard error as given."""
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(seconds=seconds)], stdout=subprocess.PIPE, stderr=stderr, text=True,
        check=True, env={**os.environ, "COLUMNS": "80", "TERM": "xterm"},
    )  # fmt: skip
    assert done.stdout == "done\n"


def test_on_a_terminal_the_time_that_passes_is_one_line_which_goes_away() -> None:
    ours, theirs = os.openpty()
    try:
        told(1.5, theirs)
        shown = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    times = [float(one) for one in re.findall(r"\rcounting  (\d\.\d+) s", shown)]
    assert len(times) >= 2
    assert times == sorted(times)
    assert times[0] >= 1
    assert shown.endswith("\r\x1b[K")
    assert "\n" not in shown


@pytest.mark.parametrize(("seconds", "lines"), [(0.0, 0), (1.3, 1)])
def test_elsewhere_it_is_a_line_once_a_second_has_passed(seconds: float, lines: int) -> None:
    ours, theirs = os.pipe()
    try:
        told(seconds, theirs)
    finally:
        os.close(theirs)
    with os.fdopen(ours) as said:
        found = said.read().splitlines()
    assert len(found) == lines
    assert all(re.fullmatch(r"counting  1\.\d+ s", line) for line in found)
