"""The store's operations by name, once for both faces: `store.sessions.get(…)`, `await store.sessions.get(…)`."""

from agentrecord.records.scope import Role
from agentrecord.store import (
    agents,
    audit,
    errors,
    events,
    feed,
    imports,
    keys,
    llm_calls,
    messages,
    pages,
    people,
    prices,
    recount,
    relations,
    runs,
    search,
    sessions,
    tool_calls,
    traces,
    usage,
)
from agentrecord.store import daily as daily_figures
from agentrecord.store._charging import load_table, load_table_for
from agentrecord.store._faces import AsyncFace, Face, reads, writes


class _Projects:
    ensure = writes(people.ensure_project, role=Role.OPERATOR)
    get = reads(people.get_project)
    list = reads(people.list_projects, role=Role.OPERATOR)


class _Users:
    ensure = writes(people.ensure_user)
    get = reads(people.get_user)
    list = reads(people.list_users)


class _Settings:
    get = reads(people.get_setting, role=Role.OPERATOR)
    ensure = writes(people.ensure_setting, role=Role.OPERATOR)
    set = writes(people.set_setting, role=Role.OPERATOR)


class _Keys:
    create = writes(keys.create, role=Role.ADMIN)
    find = reads(keys.find, role=Role.OPERATOR)
    list = reads(keys.list_, role=Role.ADMIN)
    revoke = writes(keys.revoke, role=Role.ADMIN)


class _Agents:
    ensure = writes(agents.ensure)
    get = reads(agents.get)
    list = reads(agents.list_)
    create_version = writes(agents.create_version)


class _Sessions:
    create = writes(sessions.create)
    find = reads(sessions.find)
    get = reads(sessions.get)
    update = writes(sessions.update_)
    delete = writes(sessions.delete, frees_space=True)
    list = reads(sessions.list_)
    children = reads(sessions.children)
    ancestors = reads(sessions.ancestors)
    subtree_usage = reads(sessions.subtree_usage)
    count_messages = reads(sessions.count_messages)


class _Messages:
    append = writes(messages.append, before=load_table_for)
    get = reads(messages.get)
    list = reads(messages.list_)
    recent = reads(messages.recent)
    edit = writes(messages.edit)
    revisions = reads(messages.revisions)
    delete = writes(messages.delete, frees_space=True)
    search = reads(search.messages)


class _Runs:
    create = writes(runs.create)
    start = writes(runs.start)
    finish = writes(runs.finish)
    fail = writes(runs.fail)
    cancel = writes(runs.cancel)
    heartbeat = writes(runs.heartbeat)
    find = reads(runs.find)
    get = reads(runs.get)
    list = reads(runs.list_)
    tree = reads(runs.tree)


class _Events:
    record = writes(events.record)
    get = reads(events.get)
    list = reads(events.list_)


class _LLMCalls:
    record = writes(llm_calls.record, before=load_table)
    get = reads(llm_calls.get)
    list = reads(llm_calls.list_)
    price = reads(llm_calls.price)
    prompt = reads(llm_calls.prompt)


class _ToolCalls:
    record = writes(tool_calls.record)
    finish = writes(tool_calls.finish)
    get = reads(tool_calls.get)
    list = reads(tool_calls.list_)
    figures = reads(tool_calls.figures)


class _Errors:
    record = writes(errors.record)
    get = reads(errors.get)
    list = reads(errors.list_)
    groups = reads(errors.groups)
    resolve = writes(errors.resolve, role=Role.ADMIN)


class _Usage:
    report = reads(usage.report)
    series = reads(usage.series)
    blocks = reads(usage.blocks)
    daily = reads(daily_figures.usage)
    performance = reads(daily_figures.performance, role=Role.ADMIN)
    recount = reads(recount.check, role=Role.ADMIN)


class _Prices:
    set = writes(prices.set_, role=Role.ADMIN)
    retire = writes(prices.retire, role=Role.ADMIN)
    list = reads(prices.list_)
    find = reads(prices.find)
    uses = reads(prices.uses)
    ensure_host = writes(prices.ensure_host, role=Role.ADMIN)
    list_models = reads(prices.list_models)
    reprice = writes(prices.reprice, role=Role.ADMIN)


class _Relations:
    relate = writes(relations.relate)
    of = reads(relations.of)


class _Audit:
    record = writes(audit.record)
    list = reads(audit.list_, role=Role.ADMIN)
    verify = reads(audit.verify, role=Role.ADMIN)


class _Imports:
    load = writes(imports.load, before=load_table)
    preview = reads(imports.preview)
    finish_file = writes(imports.finish_file)
    files = reads(imports.files)
    unreadable = reads(imports.unreadable)


class _Traces:
    record = writes(traces.record, before=load_table)
    spans = reads(traces.spans)


class _Feed:
    changes = reads(feed.changes)


class _Pages:
    conversation = reads(pages.conversation)
    run_work = reads(pages.run_work)
    subtree_sums = reads(pages.subtree_sums)
    session_sums = reads(pages.session_sums)
    counts = reads(pages.counts)
    choices = reads(pages.choices)


class Projects(_Projects, Face):
    """Projects: the units of isolation."""


class Users(_Users, Face):
    """The people of a project."""


class Settings(_Settings, Face):
    """Settings of the whole record."""


class Keys(_Keys, Face):
    """API keys."""


class Agents(_Agents, Face):
    """Agents and their versions."""


class Sessions(_Sessions, Face):
    """Conversations."""


class Messages(_Messages, Face):
    """Messages and search over them."""


class Runs(_Runs, Face):
    """Runs of agents."""


class Events(_Events, Face):
    """Events of sessions and runs."""


class LLMCalls(_LLMCalls, Face):
    """Calls to models."""


class ToolCalls(_ToolCalls, Face):
    """Uses of tools."""


class Errors(_Errors, Face):
    """Errors and their groups."""


class Usage(_Usage, Face):
    """Figures."""


class Prices(_Prices, Face):
    """Hosts, models and prices."""


class Relations(_Relations, Face):
    """Edges between rows."""


class Audit(_Audit, Face):
    """The audit trail."""


class Imports(_Imports, Face):
    """Imported files and unreadable lines."""


class Traces(_Traces, Face):
    """Traces of other programs, span by span."""


class Feed(_Feed, Face):
    """What changed lately."""


class Pages(_Pages, Face):
    """What a page needs as one."""


class AsyncProjects(_Projects, AsyncFace):
    """Projects: the units of isolation."""


class AsyncUsers(_Users, AsyncFace):
    """The people of a project."""


class AsyncSettings(_Settings, AsyncFace):
    """Settings of the whole record."""


class AsyncKeys(_Keys, AsyncFace):
    """API keys."""


class AsyncAgents(_Agents, AsyncFace):
    """Agents and their versions."""


class AsyncSessions(_Sessions, AsyncFace):
    """Conversations."""


class AsyncMessages(_Messages, AsyncFace):
    """Messages and search over them."""


class AsyncRuns(_Runs, AsyncFace):
    """Runs of agents."""


class AsyncEvents(_Events, AsyncFace):
    """Events of sessions and runs."""


class AsyncLLMCalls(_LLMCalls, AsyncFace):
    """Calls to models."""


class AsyncToolCalls(_ToolCalls, AsyncFace):
    """Uses of tools."""


class AsyncErrors(_Errors, AsyncFace):
    """Errors and their groups."""


class AsyncUsage(_Usage, AsyncFace):
    """Figures."""


class AsyncPrices(_Prices, AsyncFace):
    """Hosts, models and prices."""


class AsyncRelations(_Relations, AsyncFace):
    """Edges between rows."""


class AsyncAudit(_Audit, AsyncFace):
    """The audit trail."""


class AsyncImports(_Imports, AsyncFace):
    """Imported files and unreadable lines."""


class AsyncTraces(_Traces, AsyncFace):
    """Traces of other programs, span by span."""


class AsyncFeed(_Feed, AsyncFace):
    """What changed lately."""


class AsyncPages(_Pages, AsyncFace):
    """What a page needs as one."""
