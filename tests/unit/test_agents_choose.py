"""The runner is chosen by settings; what is wrong with one is said with its name and the mend."""

import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from agents import function_tool

from agentrecord.agents import choose
from agentrecord.agents.choose import limits_from, runner_from
from agentrecord.agents.conversation import Limits
from agentrecord.agents.echo import EchoRunner
from agentrecord.agents.openai_agents import OpenAIAgentsRunner, tools_of
from agentrecord.agents.runner import AgentTurn, Reply, TurnRecorder
from agentrecord.exceptions import InvalidValue

OPENAI = {"AGENTRECORD_RUNNER": "openai-agents", "AGENTRECORD_MODEL": "m", "AGENTRECORD_BASE_URL": "http://[::1]:1/v1"}


class Own:
    """A runner of the application's own."""

    name = "own"

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        """Answer nothing."""
        return Reply(content="")


class Picky(Own):
    """A runner that cannot be made without an argument."""

    def __init__(self, needed: str) -> None:
        """Take it."""


OWN = Own()
NOT_A_RUNNER = 7


@function_tool
def one() -> str:
    """One."""
    return "1"


@function_tool(name_override="one")
def another_one() -> str:
    """Another."""
    return "1"


@function_tool
def two() -> str:
    """Two."""
    return "2"


def plain() -> str:
    """No tool."""
    return ""


BOTH = [one, two]


@pytest.mark.parametrize("environ", [{}, {"AGENTRECORD_RUNNER": ""}, {"AGENTRECORD_RUNNER": " echo "}])
def test_the_echo_answers_unless_told_otherwise(environ: dict[str, str]) -> None:
    assert isinstance(runner_from(environ), EchoRunner)


def test_the_sdk_answers_with_all_that_is_set() -> None:
    found: Any = runner_from(
        {
            **OPENAI,
            "AGENTRECORD_API": "chat_completions",
            "AGENTRECORD_API_KEY": "k1",
            "OPENAI_API_KEY": "k2",
            "AGENTRECORD_PROVIDER": "Here",
            "AGENTRECORD_MAX_OUTPUT_TOKENS": "99",
            "AGENTRECORD_MAX_TURNS": "3",
            "AGENTRECORD_HISTORY_LIMIT": "40",
            "AGENTRECORD_MAX_RETRIES": "0",
            "AGENTRECORD_CALL_TIMEOUT": "1.5",
            "AGENTRECORD_TOOLS": "test_agents_choose:two, test_agents_choose:one",
        }
    )
    assert isinstance(found, OpenAIAgentsRunner)
    assert (found.name, found._host, found._max_turns, found._model_name) == ("openai-agents", "Here", 3, "m")
    assert found._history_limit == 40
    assert [tool.name for tool in found._tools] == ["two", "one"]
    assert (found._settings.max_tokens, found._settings.retry.max_retries) == (99, 0)
    assert type(found._model).__name__ == "OpenAIChatCompletionsModel"
    assert (found._api.api_key, found._api.timeout, found._api.max_retries) == ("k1", 1.5, 0)


def test_the_usual_name_of_the_key_is_known() -> None:
    found: Any = runner_from({"AGENTRECORD_RUNNER": "openai-agents", "AGENTRECORD_MODEL": "m", "OPENAI_API_KEY": "k"})
    assert (found._api.api_key, str(found._api.base_url)) == ("k", "https://api.openai.com/v1/")


def test_openais_own_chat_completions_are_limited_by_the_name_that_its_newer_models_know() -> None:
    chat = OpenAIAgentsRunner("m", api_key="k", api="chat_completions", max_output_tokens=9)
    assert (chat._settings.max_tokens, chat._settings.extra_args) == (None, {"max_completion_tokens": 9})
    elsewhere = OpenAIAgentsRunner("m", base_url="http://[::1]:1", api="chat_completions", max_output_tokens=9)
    assert (elsewhere._settings.max_tokens, elsewhere._settings.extra_args) == (9, None)


@pytest.mark.parametrize("path", ["OWN", "Own"])
def test_an_application_brings_its_own_runner(path: str) -> None:
    assert runner_from({"AGENTRECORD_RUNNER": f"test_agents_choose:{path}"}).name == "own"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"AGENTRECORD_RUNNER": "langchain"},
            "AGENTRECORD_RUNNER: must be echo, openai-agents, or package.module:attr",
        ),
        ({"AGENTRECORD_RUNNER": "nowhere.at_all:x"}, "AGENTRECORD_RUNNER: there is no module nowhere; install it"),
        ({"AGENTRECORD_RUNNER": "test_agents_choose:x"}, "AGENTRECORD_RUNNER: test_agents_choose has no x"),
        ({"AGENTRECORD_RUNNER": "test_agents_choose:NOT_A_RUNNER"}, "leads to no runner: it needs a `name`"),
        ({"AGENTRECORD_RUNNER": "test_agents_choose:plain"}, "leads to no runner: it needs a `name`"),
        ({"AGENTRECORD_RUNNER": "test_agents_choose:Picky"}, "cannot be called without arguments"),
        ({"AGENTRECORD_MODEL": ""}, "AGENTRECORD_MODEL: is missing; name the model that answers"),
        ({"AGENTRECORD_BASE_URL": ""}, "AGENTRECORD_API_KEY: is missing; OpenAI answers nobody without a key"),
        ({"AGENTRECORD_BASE_URL": "localhost:11434"}, "AGENTRECORD_BASE_URL: must be an http address"),
        ({"AGENTRECORD_API": "assistants"}, "AGENTRECORD_API: must be one of responses, chat_completions"),
        ({"AGENTRECORD_MAX_OUTPUT_TOKENS": "0"}, "AGENTRECORD_MAX_OUTPUT_TOKENS: must be a whole number from 1"),
        ({"AGENTRECORD_MAX_TURNS": "ten"}, "AGENTRECORD_MAX_TURNS: must be a whole number from 1"),
        ({"AGENTRECORD_MAX_RETRIES": "-1"}, "AGENTRECORD_MAX_RETRIES: must be a whole number from 0"),
        ({"AGENTRECORD_MAX_RETRIES": "9" * 30}, "AGENTRECORD_MAX_RETRIES: must be a whole number from 0"),
        ({"AGENTRECORD_CALL_TIMEOUT": "nan"}, "AGENTRECORD_CALL_TIMEOUT: must be a number of seconds above 0"),
        ({"AGENTRECORD_TOOLS": "test_agents_choose"}, "AGENTRECORD_TOOLS: must be package.module:attribute"),
        ({"AGENTRECORD_TOOLS": "test_agents_choose:plain"}, "gives function, no tool; decorate the function"),
        ({"AGENTRECORD_TOOLS": "test_agents_choose:three"}, "AGENTRECORD_TOOLS: test_agents_choose has no three"),
        ({"AGENTRECORD_TOOLS": "test_agents_choose:one,test_agents_choose:another_one"}, "a second tool called one"),
    ],
)
def test_what_is_wrong_is_said_with_the_settings_name_and_the_mend(changed: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(said)):
        runner_from({**OPENAI, **changed})


def test_an_error_inside_the_applications_own_module_is_not_hidden(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_tools.py").write_text("import a_module_that_is_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        runner_from({**OPENAI, "AGENTRECORD_TOOLS": "broken_tools:x"})


def test_installed_packages_offer_tools() -> None:
    offered = [EntryPoint(name="x", value="test_agents_choose:BOTH", group="agentrecord.tools")]
    assert [tool.name for tool in tools_of("AGENTRECORD_TOOLS", [], installed=offered)] == ["one", "two"]
    with pytest.raises(InvalidValue, match=r"agentrecord\.tools: there is no module"):
        tools_of("AGENTRECORD_TOOLS", [], installed=[EntryPoint("x", "gone.away:y", "agentrecord.tools")])


def test_the_same_tool_named_twice_is_one() -> None:
    paths = ["test_agents_choose:BOTH", "test_agents_choose:one"]
    assert [tool.name for tool in tools_of("AGENTRECORD_TOOLS", paths, installed=[])] == ["one", "two"]


def test_turns_have_limits_and_a_busy_session_a_setting() -> None:
    assert limits_from({}) == Limits(turn_s=300, wait_s=300, grace_s=15, waits=True)
    told = {"AGENTRECORD_TURN_TIMEOUT": "2.5", "AGENTRECORD_GRACE": "1", "AGENTRECORD_BUSY": "refuse"}
    assert limits_from(told) == Limits(turn_s=2.5, wait_s=2.5, grace_s=1, waits=False)
    for setting in told:
        with pytest.raises(InvalidValue, match=setting):
            limits_from({setting: "soon"})


def test_every_setting_is_documented() -> None:
    told = (Path(__file__).parent.parent.parent / "docs" / "reference" / "settings.md").read_text()
    names = {name for name in vars(choose).values() if isinstance(name, str) and name.startswith("AGENTRECORD_")}
    assert len(names) > 10
    assert {name for name in names if f"| `{name}` |" not in told} == set()
