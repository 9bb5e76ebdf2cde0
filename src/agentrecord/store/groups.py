"""The store's operations by name, once for both faces: `store.sessions.get(…)`, `await store.sessions.get(…)`."""

from agentrecord.records.scope import Role
from agentrecord.store import (
    accounts,
    agents,
    audit,
    budgets,
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
    reserving,
    runs,
    search,
    session_trees,
    sessions,
    sign_ins,
    tool_calls,
    traces,
    turns,
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
    find = reads(people.find_user)
    list = reads(people.list_users)


class _Settings:
    get = reads(people.get_setting, role=Role.OPERATOR)
    ensure = writes(people.ensure_setting, role=Role.OPERATOR)
    set = writes(people.set_setting, role=Role.OPERATOR)


class _Accounts:
    create = writes(accounts.create, role=Role.ADMIN)
    sign_up = writes(accounts.sign_up, role=Role.OPERATOR)
    get = reads(accounts.get, role=Role.ADMIN)
    find = reads(accounts.find, role=Role.ADMIN)
    list = reads(accounts.list_, role=Role.ADMIN)
    set_role = writes(accounts.set_role, role=Role.ADMIN)
    disable = writes(accounts.disable, role=Role.ADMIN)
    enable = writes(accounts.enable, role=Role.ADMIN)
    set_password = writes(accounts.set_password, role=Role.ADMIN)
    change = writes(accounts.change, role=Role.ADMIN)
    find_password = reads(accounts.find_password, role=Role.OPERATOR)
    rehash = writes(accounts.rehash, role=Role.OPERATOR)


class _SignIns:
    attempt = writes(sign_ins.attempt, role=Role.OPERATOR)
    fail = writes(sign_ins.fail, role=Role.OPERATOR)
    start = writes(sign_ins.start, role=Role.OPERATOR)
    find = reads(sign_ins.find, role=Role.OPERATOR)
    refresh = writes(sign_ins.refresh, role=Role.OPERATOR)
    end = writes(sign_ins.end, role=Role.OPERATOR)


class _Keys:
    create = writes(keys.create, role=Role.ADMIN)
    find = reads(keys.find, role=Role.OPERATOR)
    list = reads(keys.list_, role=Role.ADMIN)
    revoke = writes(keys.revoke, role=Role.ADMIN)
    note_use = writes(keys.note_use, role=Role.OPERATOR)


class _Agents:
    ensure = writes(agents.ensure)
    get = reads(agents.get)
    list = reads(agents.list_)
    create_version = writes(agents.create_version)
    find_active = reads(agents.find_active)


class _Sessions:
    create = writes(sessions.create)
    find = reads(sessions.find)
    get = reads(sessions.get)
    update = writes(sessions.update_)
    activate = writes(sessions.activate)
    deactivate = writes(sessions.deactivate)
    delete = writes(sessions.delete, frees_space=True)
    list = reads(sessions.list_)
    children = reads(sessions.children)
    ancestors = reads(sessions.ancestors)
    subtree_usage = reads(session_trees.subtree_usage)
    count_messages = reads(sessions.count_messages)


class _Messages:
    append = writes(messages.append, before=load_table_for)
    post = writes(messages.post)
    clear = writes(messages.clear, frees_space=True)
    get = reads(messages.get)
    list = reads(messages.list_)
    recent = reads(messages.recent)
    edit = writes(messages.edit)
    revisions = reads(messages.revisions)
    delete = writes(messages.delete, frees_space=True)
    search = reads(search.messages)


class _Turns:
    begin = writes(turns.begin)
    find = reads(turns.find)
    get = reads(turns.get)
    running = reads(turns.running)
    events = reads(turns.events)
    emit = writes(turns.emit)
    renew = writes(turns.renew)
    watch = writes(turns.watch)
    request_cancel = writes(turns.request_cancel)
    finish = writes(turns.finish)
    close_abandoned = writes(turns.close_abandoned)


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


class _Budgets:
    create = writes(budgets.create, role=Role.ADMIN)
    find = reads(budgets.find)
    get = reads(budgets.get)
    list = reads(budgets.list_)
    update = writes(budgets.update_, role=Role.ADMIN)
    delete = writes(budgets.delete_, role=Role.ADMIN)
    status = reads(budgets.status)
    statuses = reads(budgets.statuses)
    near = reads(budgets.near)
    reserve = writes(reserving.reserve, before=load_table)
    release = writes(reserving.release)
    open_reservations = reads(reserving.open_reservations)


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


class Accounts(_Accounts, Face):
    """Who can sign in, as members of a project."""


class SignIns(_SignIns, Face):
    """Attempts to sign in, and sign-ins that hold."""


class Keys(_Keys, Face):
    """API keys."""


class Agents(_Agents, Face):
    """Agents and their versions."""


class Sessions(_Sessions, Face):
    """Conversations."""


class Messages(_Messages, Face):
    """Messages and search over them."""


class Turns(_Turns, Face):
    """Turns of the conversation endpoint."""


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


class Budgets(_Budgets, Face):
    """Limits on what calls may cost, and reservations before they are made."""


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


class AsyncAccounts(_Accounts, AsyncFace):
    """Who can sign in, as members of a project."""


class AsyncSignIns(_SignIns, AsyncFace):
    """Attempts to sign in, and sign-ins that hold."""


class AsyncKeys(_Keys, AsyncFace):
    """API keys."""


class AsyncAgents(_Agents, AsyncFace):
    """Agents and their versions."""


class AsyncSessions(_Sessions, AsyncFace):
    """Conversations."""


class AsyncMessages(_Messages, AsyncFace):
    """Messages and search over them."""


class AsyncTurns(_Turns, AsyncFace):
    """Turns of the conversation endpoint."""


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


class AsyncBudgets(_Budgets, AsyncFace):
    """Limits on what calls may cost, and reservations before they are made."""


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
