"""The application's tools, found by the entry points of installed packages and by paths in a setting."""

from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points

from agents import FunctionTool, Tool

from agentrecord.agents.paths import attribute_at
from agentrecord.exceptions import InvalidValue

GROUP = "agentrecord.tools"


def tools_of(setting: str, paths: Sequence[str], *, installed: Iterable[EntryPoint] | None = None) -> tuple[Tool, ...]:
    """Return the tools that installed packages offer in the group `agentrecord.tools`, and those at `paths`.

    Each gives a function tool or a list of them. Raises `InvalidValue` that names the path and the mend where one
    leads nowhere, to something else, or to a second tool of the same name.
    """
    offered = entry_points(group=GROUP) if installed is None else installed
    found: dict[str, tuple[str, Tool]] = {}
    for source, path in [*((GROUP, entry.value) for entry in offered), *((setting, path) for path in paths)]:
        for tool in _tools_at(source, path):
            other, known = found.setdefault(tool.name, (path, tool))
            if known is not tool:
                raise InvalidValue(source, path, f"gives a second tool called {tool.name} (beside {other}); rename one")
    return tuple(tool for _, tool in found.values())


def _tools_at(source: str, path: str) -> list[Tool]:
    given = attribute_at(source, path)
    tools = list(given) if isinstance(given, list | tuple) else [given]
    for tool in tools:
        if not isinstance(tool, FunctionTool):
            reason = f"gives {type(tool).__name__}, no tool; decorate the function with agents.function_tool"
            raise InvalidValue(source, path, reason)
    return tools
