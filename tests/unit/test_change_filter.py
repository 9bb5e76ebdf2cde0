"""Which changes a filter lets through."""

from datetime import UTC, datetime

import pytest

from agentrecord.exceptions import InvalidFilter
from agentrecord.ids import new_id
from agentrecord.records.change import Change, ChangeKind
from agentrecord.records.change_filter import change_filter

CALL = Change(
    kind=ChangeKind.LLM_CALL, id=new_id(), at=datetime(2026, 1, 1, tzinfo=UTC), session_uuid=None,
    session_id="order-17", run_uuid=None, run_id="r", user="bob@acme.io", agent="support-bot", line="claude-opus-4-5",
    status="success", cost_nanos=60_000_000,
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "kind:llm_call", "kind:error,llm_call", "model:claude-*", "model:claude-opus-4-5", "user:bob@acme.io",
     "agent:SUPPORT-*", "cost:>0.05", "cost:0.05..0.07", "OPUS", "-status:error", "-tool:Bash",
     "session:order-17 run:r", "status:success,error"],
)  # fmt: skip
def test_a_change_that_is_asked_for_comes_through(text: str) -> None:
    assert change_filter(text).matches(CALL)


@pytest.mark.parametrize(
    "text",
    ["kind:error", "-kind:llm_call", "model:claude", 'model:"claude-*"', "user:bob", "cost:<0.05",
     "tool:claude-opus-4-5", "-opus", "nowhere", "status:success -agent:support-bot"],
)  # fmt: skip
def test_another_does_not(text: str) -> None:
    assert not change_filter(text).matches(CALL)


def test_kinds_narrow_each_other() -> None:
    wanted = change_filter("kind:error,run", [ChangeKind.RUN, ChangeKind.MESSAGE])
    assert wanted.kinds == {ChangeKind.RUN}
    assert change_filter("-kind:message").kinds == set(ChangeKind) - {ChangeKind.MESSAGE}


@pytest.mark.parametrize("text", ["colour:red", "kind:thing", "cost:much", "kind:"])
def test_what_is_no_filter_is_refused_with_the_mend(text: str) -> None:
    with pytest.raises(InvalidFilter):
        change_filter(text)
