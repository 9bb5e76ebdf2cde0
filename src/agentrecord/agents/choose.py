"""Which runner answers: chosen by settings, which are read from a mapping and nowhere else."""

from collections.abc import Mapping
from importlib import import_module
from math import isfinite
from typing import Any, cast  # `Any`: what a path leads to is not known before it is looked at

from agentrecord.agents import echo
from agentrecord.agents.conversation import Limits
from agentrecord.agents.echo import EchoRunner
from agentrecord.agents.paths import attribute_at
from agentrecord.agents.runner import AgentRunner
from agentrecord.exceptions import InvalidValue

RUNNER = "AGENTRECORD_RUNNER"
MODEL = "AGENTRECORD_MODEL"
PROVIDER = "AGENTRECORD_PROVIDER"
BASE_URL = "AGENTRECORD_BASE_URL"
API_KEY = "AGENTRECORD_API_KEY"
API = "AGENTRECORD_API"
MAX_OUTPUT_TOKENS = "AGENTRECORD_MAX_OUTPUT_TOKENS"
MAX_TURNS = "AGENTRECORD_MAX_TURNS"
HISTORY_LIMIT = "AGENTRECORD_HISTORY_LIMIT"
MAX_RETRIES = "AGENTRECORD_MAX_RETRIES"
CALL_TIMEOUT = "AGENTRECORD_CALL_TIMEOUT"
TURN_TIMEOUT = "AGENTRECORD_TURN_TIMEOUT"
GRACE = "AGENTRECORD_GRACE"
BUSY = "AGENTRECORD_BUSY"
WAIT, REFUSE = "wait", "refuse"
TOOLS = "AGENTRECORD_TOOLS"

OPENAI_AGENTS = "openai-agents"
APIS = ("responses", "chat_completions")
OPENAI_URL = "https://api.openai.com/v1"
_NO_RUNNER = "leads to no runner: it needs a `name`, and a `run` to await"


def runner_from(environ: Mapping[str, str]) -> AgentRunner:
    """Return the runner that the settings name: `echo` without any.

    Raises `InvalidValue` for a setting that is missing, unknown or out of range, naming the setting and the mend.
    """
    name = environ.get(RUNNER, "").strip() or echo.NAME
    if name == echo.NAME:
        return EchoRunner()
    if name == OPENAI_AGENTS:
        return _openai_agents(environ)
    if ":" in name:
        return _runner_at(name)
    raise InvalidValue(RUNNER, name, f"must be {echo.NAME}, {OPENAI_AGENTS}, or package.module:attribute")


def limits_from(environ: Mapping[str, str]) -> Limits:
    """Return how long turns may take, and whether a second request for a session waits.

    Raises `InvalidValue` for a setting that is unknown or out of range, naming the setting and the mend.
    """
    turn_s = _seconds(environ, TURN_TIMEOUT, Limits().turn_s)
    busy = environ.get(BUSY, "").strip() or WAIT
    if busy not in (WAIT, REFUSE):
        raise InvalidValue(BUSY, busy, f"must be {WAIT} or {REFUSE}")
    return Limits(
        turn_s=turn_s,
        # Whoever waits for the turn before theirs waits as long as that may take.
        wait_s=turn_s,
        grace_s=_seconds(environ, GRACE, Limits().grace_s),
        waits=busy == WAIT,
    )


def _runner_at(path: str) -> AgentRunner:
    found = attribute_at(RUNNER, path)
    if isinstance(found, type) or not hasattr(found, "run"):
        if not callable(found):
            raise InvalidValue(RUNNER, path, _NO_RUNNER)
        try:
            found = found()
        except TypeError as error:
            raise InvalidValue(RUNNER, path, f"cannot be called without arguments: {error}") from error
    if not callable(getattr(found, "run", None)) or not isinstance(getattr(found, "name", None), str):
        raise InvalidValue(RUNNER, path, _NO_RUNNER)
    return cast(AgentRunner, found)


def _openai_agents(environ: Mapping[str, str]) -> AgentRunner:
    base_url = environ.get(BASE_URL, "").strip() or OPENAI_URL
    api_key = environ.get(API_KEY, "").strip() or environ.get("OPENAI_API_KEY", "").strip()
    if not base_url.startswith(("http://", "https://")):
        raise InvalidValue(BASE_URL, base_url, f"must be an http address, such as {OPENAI_URL}")
    if base_url.rstrip("/") == OPENAI_URL and not api_key:
        raise InvalidValue(API_KEY, "", f"is missing; OpenAI answers nobody without a key, or name another {BASE_URL}")
    model = environ.get(MODEL, "").strip()
    if not model:
        raise InvalidValue(MODEL, "", f"is missing; name the model that answers, such as {MODEL}=gpt-5-mini")
    api = environ.get(API, "").strip() or APIS[0]
    if api not in APIS:
        raise InvalidValue(API, api, f"must be one of {', '.join(APIS)}")
    options: dict[str, Any] = {
        "base_url": base_url,
        "api_key": api_key or None,
        "api": api,
        "max_output_tokens": _whole(environ, MAX_OUTPUT_TOKENS, 4096, minimum=1),
        "max_turns": _whole(environ, MAX_TURNS, 10, minimum=1),
        "max_retries": _whole(environ, MAX_RETRIES, 2, minimum=0),
        "timeout_s": _seconds(environ, CALL_TIMEOUT, 120.0),
    }
    if environ.get(HISTORY_LIMIT, "").strip():
        options["history_limit"] = _whole(environ, HISTORY_LIMIT, 0, minimum=1)
    if environ.get(PROVIDER, "").strip():
        options["host"] = environ[PROVIDER].strip()
    paths = [path.strip() for path in environ.get(TOOLS, "").split(",") if path.strip()]
    sdk = _sdk()
    runner: AgentRunner = sdk.OpenAIAgentsRunner(model, tools=sdk.tools_of(TOOLS, paths), **options)
    return runner


def _sdk() -> Any:
    # By name, because the plain install has no SDK in it.
    try:
        return import_module("agentrecord.agents.openai_agents")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("agentrecord"):
            raise
        reason = f"needs {error.name}, which is not installed: pip install 'agentrecord[openai-agents]'"
        raise InvalidValue(RUNNER, OPENAI_AGENTS, reason) from error


def _whole(environ: Mapping[str, str], setting: str, default: int, *, minimum: int) -> int:
    given = environ.get(setting, "").strip()
    if not given:
        return default
    if not given.isascii() or not given.isdigit() or not minimum <= int(given[:10]) <= 10_000_000:
        raise InvalidValue(setting, given, f"must be a whole number from {minimum} to 10000000")
    return int(given[:10])


def _seconds(environ: Mapping[str, str], setting: str, default: float) -> float:
    given = environ.get(setting, "").strip()
    if not given:
        return default
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not isfinite(seconds) or seconds <= 0:
        raise InvalidValue(setting, given, "must be a number of seconds above 0")
    return seconds
