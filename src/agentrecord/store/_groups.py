"""The store's operations in groups: each function under the name that both faces give it."""

from agentrecord.records.scope import Role
from agentrecord.store import (
    accounts,
    activity,
    agent_compare,
    agent_figures,
    agents,
    audit,
    budgets,
    call_details,
    erasing,
    error_group_lists,
    error_groups,
    errors,
    events,
    exchange,
    feed,
    finding,
    imports,
    keys,
    llm_calls,
    messages,
    pages,
    people,
    prices,
    queries,
    recount,
    relations,
    repricing,
    reserving,
    restoring,
    run_figures,
    run_lists,
    run_records,
    run_trees,
    runs,
    search,
    session_drivers,
    session_lists,
    session_trees,
    sessions,
    sign_ins,
    tool_calls,
    traces,
    turns,
    usage,
    user_figures,
)
from agentrecord.store import daily as daily_figures
from agentrecord.store._charging import load_table, load_table_for
from agentrecord.store._faces import reads, writes
from agentrecord.store._serials import number_calls, number_events, number_runs


class Projects:
    """Projects: the units of isolation."""

    ensure = writes(people.ensure_project, role=Role.OPERATOR)
    get = reads(people.get_project)
    find = reads(people.find_project, role=Role.OPERATOR)
    list = reads(people.list_projects, role=Role.OPERATOR)


class Users:
    """The people of a project."""

    ensure = writes(people.ensure_user)
    get = reads(people.get_user)
    find = reads(people.find_user)
    list = reads(people.list_users)
    report = reads(user_figures.report)
    sums = reads(user_figures.report_sums)
    facets = reads(user_figures.facets)
    values = reads(user_figures.values)
    details = reads(user_figures.details)
    purge = writes(erasing.purge, role=Role.ADMIN)


class Settings:
    """Settings of the whole record."""

    get = reads(people.get_setting, role=Role.OPERATOR)
    ensure = writes(people.ensure_setting, role=Role.OPERATOR)
    set = writes(people.set_setting, role=Role.OPERATOR)


class Accounts:
    """Who can sign in, as members of a project."""

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


class SignIns:
    """Attempts to sign in, and sign-ins that hold."""

    attempt = writes(sign_ins.attempt, role=Role.OPERATOR)
    fail = writes(sign_ins.fail, role=Role.OPERATOR)
    forgive = writes(sign_ins.forgive, role=Role.OPERATOR)
    start = writes(sign_ins.start, role=Role.OPERATOR)
    find = reads(sign_ins.find, role=Role.OPERATOR)
    refresh = writes(sign_ins.refresh, role=Role.OPERATOR)
    end = writes(sign_ins.end, role=Role.OPERATOR)


class Keys:
    """API keys."""

    create = writes(keys.create, role=Role.ADMIN)
    find = reads(keys.find, role=Role.OPERATOR)
    list = reads(keys.list_, role=Role.ADMIN)
    revoke = writes(keys.revoke, role=Role.ADMIN)
    note_use = writes(keys.note_use, role=Role.OPERATOR)


class Agents:
    """Agents and their versions."""

    ensure = writes(agents.ensure)
    get = reads(agents.get)
    list = reads(agents.list_)
    create_version = writes(agents.create_version)
    find_active = reads(agents.find_active)
    report = reads(agent_figures.report)
    sums = reads(agent_figures.report_sums)
    facets = reads(agent_figures.facets)
    values = reads(agent_figures.values)
    details = reads(agent_figures.details)
    compare = reads(agent_compare.compare)


class Sessions:
    """Conversations."""

    create = writes(sessions.create)
    find = reads(sessions.find)
    get = reads(sessions.get)
    update = writes(sessions.update_)
    activate = writes(sessions.activate)
    deactivate = writes(sessions.deactivate)
    delete = writes(sessions.delete, frees_space=True)
    list = reads(sessions.list_)
    sums = reads(pages.session_sums)
    facets = reads(session_lists.facets)
    values = reads(session_lists.values)
    children = reads(sessions.children)
    ancestors = reads(sessions.ancestors)
    subtree_usage = reads(session_trees.subtree_usage)
    count_messages = reads(sessions.count_messages)


class Messages:
    """Messages and search over them."""

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


class Turns:
    """Turns of the conversation endpoint."""

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


class Runs:
    """Runs of agents."""

    create = writes(runs.create)
    start = writes(runs.start)
    finish = writes(runs.finish)
    fail = writes(runs.fail)
    cancel = writes(runs.cancel)
    heartbeat = writes(runs.heartbeat)
    count_abandoned = reads(runs.count_abandoned)
    close_abandoned = writes(runs.close_abandoned)
    find = reads(runs.find)
    get = reads(runs.get)
    list = reads(runs.list_)
    sums = reads(run_lists.sums)
    facets = reads(run_lists.facets)
    series = reads(run_lists.series)
    failures = reads(run_lists.failures)
    values = reads(run_lists.values)
    tree = reads(runs.tree)
    alike = reads(run_trees.alike)
    record = writes(run_records.record)
    replace = writes(run_records.replace)
    delete = writes(run_records.delete, frees_space=True)
    latest = reads(run_records.latest)
    figures = reads(run_figures.figures)
    broken = reads(activity.broken)
    number = writes(number_runs)


class Events:
    """Events of sessions and runs."""

    record = writes(events.record)
    record_all = writes(events.record_all)
    record_numbered = writes(events.record_numbered)
    get = reads(events.get)
    list = reads(events.list_)
    named = reads(events.named)
    number = writes(number_events)


class LLMCalls:
    """Calls to models."""

    record = writes(llm_calls.record, before=load_table)
    record_numbered = writes(llm_calls.record_numbered, before=load_table)
    get = reads(llm_calls.get)
    list = reads(llm_calls.list_)
    named = reads(llm_calls.named)
    number = writes(number_calls)
    price = reads(llm_calls.price)
    prompt = reads(llm_calls.prompt)
    detail = reads(call_details.detail)


class ToolCalls:
    """Uses of tools."""

    record = writes(tool_calls.record)
    finish = writes(tool_calls.finish)
    get = reads(tool_calls.get)
    list = reads(tool_calls.list_)
    figures = reads(tool_calls.figures)


class Errors:
    """Errors and their groups."""

    record = writes(errors.record)
    get = reads(errors.get)
    list = reads(errors.list_)
    groups = reads(error_groups.groups)
    group = reads(error_groups.group)
    breakdown = reads(error_groups.breakdown)
    group_sums = reads(error_group_lists.sums)
    group_facets = reads(error_group_lists.facets)
    group_values = reads(error_group_lists.values)
    resolve = writes(error_groups.resolve)
    reopen = writes(error_groups.reopen)


class Usage:
    """Figures."""

    report = reads(usage.report)
    total = reads(usage.total)
    span = reads(usage.span)
    names = reads(usage.names)
    sessions = reads(usage.sessions)
    series = reads(usage.series)
    blocks = reads(usage.blocks)
    activity = reads(activity.activity)
    daily = reads(daily_figures.usage)
    performance = reads(daily_figures.performance, role=Role.ADMIN)
    recount = reads(recount.check, role=Role.ADMIN)


class Prices:
    """Hosts, models and prices."""

    set = writes(prices.set_, role=Role.ADMIN)
    retire = writes(prices.retire, role=Role.ADMIN)
    list = reads(prices.list_)
    find = reads(prices.find)
    uses = reads(prices.uses)
    behind = reads(prices.behind)
    spending = reads(prices.spending)
    ensure_host = writes(prices.ensure_host, role=Role.ADMIN)
    list_models = reads(prices.list_models)
    reprice = writes(repricing.reprice, role=Role.ADMIN, before=load_table)
    preview = reads(repricing.preview, role=Role.ADMIN)
    apply = writes(repricing.apply, role=Role.ADMIN, before=load_table)


class Budgets:
    """Limits on what calls may cost, and reservations before they are made."""

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


class Relations:
    """Edges between rows."""

    relate = writes(relations.relate)
    of = reads(relations.of)


class Audit:
    """The audit trail."""

    record = writes(audit.record)
    list = reads(audit.list_, role=Role.ADMIN)
    trail = reads(audit.trail, role=Role.ADMIN)
    verify = reads(audit.verify, role=Role.ADMIN)


class Imports:
    """Imported files and unreadable lines."""

    load = writes(imports.load, before=load_table)
    preview = reads(imports.preview)
    finish_file = writes(imports.finish_file)
    files = reads(imports.files)
    unreadable = reads(imports.unreadable)


class Traces:
    """Traces of other programs, span by span."""

    record = writes(traces.record, before=load_table)
    spans = reads(traces.spans)
    sent = reads(traces.sent)


class Exchange:
    """Facts of any door, out of this record and into another."""

    units = reads(exchange.units)
    count = reads(exchange.count)
    facts = reads(exchange.facts)
    restore = writes(restoring.restore, before=load_table)


class Feed:
    """What changed lately."""

    changes = reads(feed.changes)
    place = reads(feed.place)


class Pages:
    """What a page needs as one."""

    conversation = reads(pages.conversation)
    run_tree = reads(run_trees.run_tree)
    subtree_sums = reads(session_trees.subtree_sums)
    session_drivers = reads(session_drivers.drivers)
    find = reads(finding.find)


class Queries:
    """SQL that people write."""

    run = reads(queries.run)
    tables = reads(queries.tables)
