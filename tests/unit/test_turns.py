"""A test that is to be alone is: workers take turns."""

import multiprocessing
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest

from turns import Turns

ROUNDS = 40


def _work(path: Path, member: int, barrier: Any, told: "Queue[list[tuple[bool, float, float]]]") -> None:
    turns, found = Turns(path), []
    barrier.wait(60)
    for number in range(ROUNDS):
        is_alone = number % 8 == member
        with turns.turn(is_alone=is_alone):
            began = time.monotonic()
            sum(range(20_000))
            found.append((is_alone, began, time.monotonic()))
    told.put(found)


def test_nobody_else_runs_beside_one_that_is_to_be_alone(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, told = spawn.Barrier(3), spawn.Queue()
    workers = [spawn.Process(target=_work, args=(tmp_path / "turns", member, barrier, told)) for member in range(3)]
    for worker in workers:
        worker.start()
    found = [told.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    spans = [(*span, place) for place, mine in enumerate(found) for span in mine]
    assert len(spans) == 3 * ROUNDS
    for is_alone, began, ended, place in spans:
        if is_alone:
            beside = [other for other in spans if other[3] != place and other[1] < ended and began < other[2]]
            assert beside == []


def test_others_run_side_by_side_and_no_file_is_left(tmp_path: Path) -> None:
    first, second = Turns(tmp_path / "turns"), Turns(tmp_path / "turns")
    with first.turn(is_alone=False), second.turn(is_alone=False):
        pass
    for turns in (first, second):
        turns.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="closed file"), first.turn(is_alone=False):
        pass
