"""The groups of operations with a face: `store.sessions.get(…)` blocks, `await store.sessions.get(…)` waits."""

from agentrecord.store import _groups
from agentrecord.store._faces import AsyncFace, Face


class Projects(_groups.Projects, Face):
    """Projects: the units of isolation."""


class Users(_groups.Users, Face):
    """The people of a project."""


class Settings(_groups.Settings, Face):
    """Settings of the whole record."""


class Accounts(_groups.Accounts, Face):
    """Who can sign in, as members of a project."""


class SignIns(_groups.SignIns, Face):
    """Attempts to sign in, and sign-ins that hold."""


class Keys(_groups.Keys, Face):
    """API keys."""


class Agents(_groups.Agents, Face):
    """Agents and their versions."""


class Sessions(_groups.Sessions, Face):
    """Conversations."""


class Messages(_groups.Messages, Face):
    """Messages and search over them."""


class Turns(_groups.Turns, Face):
    """Turns of the conversation endpoint."""


class Runs(_groups.Runs, Face):
    """Runs of agents."""


class Events(_groups.Events, Face):
    """Events of sessions and runs."""


class LLMCalls(_groups.LLMCalls, Face):
    """Calls to models."""


class ToolCalls(_groups.ToolCalls, Face):
    """Uses of tools."""


class Errors(_groups.Errors, Face):
    """Errors and their groups."""


class Usage(_groups.Usage, Face):
    """Figures."""


class Prices(_groups.Prices, Face):
    """Hosts, models and prices."""


class Budgets(_groups.Budgets, Face):
    """Limits on what calls may cost, and reservations before they are made."""


class Relations(_groups.Relations, Face):
    """Edges between rows."""


class Audit(_groups.Audit, Face):
    """The audit trail."""


class Imports(_groups.Imports, Face):
    """Imported files and unreadable lines."""


class Traces(_groups.Traces, Face):
    """Traces of other programs, span by span."""


class Exchange(_groups.Exchange, Face):
    """Facts of any door, out of this record and into another."""


class Feed(_groups.Feed, Face):
    """What changed lately."""


class Pages(_groups.Pages, Face):
    """What a page needs as one."""


class Queries(_groups.Queries, Face):
    """SQL that people write: read-only, within a second, within the scope."""


class AsyncProjects(_groups.Projects, AsyncFace):
    """Projects: the units of isolation."""


class AsyncUsers(_groups.Users, AsyncFace):
    """The people of a project."""


class AsyncSettings(_groups.Settings, AsyncFace):
    """Settings of the whole record."""


class AsyncAccounts(_groups.Accounts, AsyncFace):
    """Who can sign in, as members of a project."""


class AsyncSignIns(_groups.SignIns, AsyncFace):
    """Attempts to sign in, and sign-ins that hold."""


class AsyncKeys(_groups.Keys, AsyncFace):
    """API keys."""


class AsyncAgents(_groups.Agents, AsyncFace):
    """Agents and their versions."""


class AsyncSessions(_groups.Sessions, AsyncFace):
    """Conversations."""


class AsyncMessages(_groups.Messages, AsyncFace):
    """Messages and search over them."""


class AsyncTurns(_groups.Turns, AsyncFace):
    """Turns of the conversation endpoint."""


class AsyncRuns(_groups.Runs, AsyncFace):
    """Runs of agents."""


class AsyncEvents(_groups.Events, AsyncFace):
    """Events of sessions and runs."""


class AsyncLLMCalls(_groups.LLMCalls, AsyncFace):
    """Calls to models."""


class AsyncToolCalls(_groups.ToolCalls, AsyncFace):
    """Uses of tools."""


class AsyncErrors(_groups.Errors, AsyncFace):
    """Errors and their groups."""


class AsyncUsage(_groups.Usage, AsyncFace):
    """Figures."""


class AsyncPrices(_groups.Prices, AsyncFace):
    """Hosts, models and prices."""


class AsyncBudgets(_groups.Budgets, AsyncFace):
    """Limits on what calls may cost, and reservations before they are made."""


class AsyncRelations(_groups.Relations, AsyncFace):
    """Edges between rows."""


class AsyncAudit(_groups.Audit, AsyncFace):
    """The audit trail."""


class AsyncImports(_groups.Imports, AsyncFace):
    """Imported files and unreadable lines."""


class AsyncTraces(_groups.Traces, AsyncFace):
    """Traces of other programs, span by span."""


class AsyncExchange(_groups.Exchange, AsyncFace):
    """Facts of any door, out of this record and into another."""


class AsyncFeed(_groups.Feed, AsyncFace):
    """What changed lately."""


class AsyncPages(_groups.Pages, AsyncFace):
    """What a page needs as one."""


class AsyncQueries(_groups.Queries, AsyncFace):
    """SQL that people write: read-only, within a second, within the scope."""
