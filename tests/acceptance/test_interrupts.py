"""Ctrl-C at any moment ends the work that it meets: no lock and no transaction is left behind for what comes next."""

import subprocess
import sys
from pathlib import Path

import pytest

from counts import count

PROGRAM = """
import faulthandler, random, signal, sys
from agentrecord import Store
from agentrecord.records.usage import UsageBy
from agentrecord.records.llm_call import NewLLMCall

path, what, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(what)

came = False

def interrupt(number, frame):
    global came
    came = True
    raise KeyboardInterrupt

def one_run(recorder):
    with recorder.run(agent_id="bot", writes="buffered") as run:
        run.event("step")

signal.signal(signal.SIGALRM, interrupt)
for _ in range(rounds):
    faulthandler.dump_traceback_later(30, exit=True)
    came = False
    with Store(path) as store:
        does = {
            "read": lambda: store.feed.changes(limit=5),
            "write": lambda: store.llm_calls.record(NewLLMCall(model="m")),
            "buffer": lambda: one_run(store.recorder),
        }[what]
        does()
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.003))
            while not came:  # Python swallows what is raised in a callback of its own
                does()
        except KeyboardInterrupt:
            pass
        does()
        store.llm_calls.record(NewLLMCall(model="afterwards"))
faulthandler.cancel_dump_traceback_later()
with Store(path) as store:
    assert store.usage.recount() == ()
    assert {row.key: row.totals.calls for row in store.usage.report(UsageBy.MODEL).rows}["afterwards"] == rounds
"""


@pytest.mark.parametrize("what", ["read", "write", "buffer"])
def test_an_interrupt_at_any_moment_leaves_a_store_that_works_and_closes(what: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "r.db"), what, str(count(300, 5_000))],
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
