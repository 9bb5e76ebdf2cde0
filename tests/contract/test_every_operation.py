"""The contract is whole: every operation that the store has is exercised by a test that says so."""

import importlib
from pathlib import Path

from faces import OPERATIONS


def declared() -> set[str]:
    """Return what the tests of this folder say that they exercise; the `store` fixture holds them to it."""
    found: set[str] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        module = importlib.import_module(path.stem)
        for test in vars(module).values():
            marks = getattr(test, "pytestmark", [])
            for mark in marks if isinstance(marks, list) else []:
                if mark.name == "covers":
                    found.update(mark.args)
    return found


def test_every_operation_is_exercised_by_a_contract_test() -> None:
    assert set(OPERATIONS) - declared() == set()
    assert len(OPERATIONS) > 80
