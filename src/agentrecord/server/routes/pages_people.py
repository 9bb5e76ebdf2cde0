"""Pages about one agent, user or group of errors, and their forms: plain GETs and POSTs that work without scripts."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from agentrecord.dashboard import agent_compare, filters
from agentrecord.dashboard import agents as agent_pages
from agentrecord.dashboard import errors as error_pages
from agentrecord.dashboard import users as user_pages
from agentrecord.exceptions import Conflict, InvalidValue, NotFound
from agentrecord.records.project import User
from agentrecord.records.session import SessionFilter
from agentrecord.server.forms import form_of
from agentrecord.server.identity import Identity, administrator_of, identity_of
from agentrecord.server.routes.user_export import lines_of
from agentrecord.server.routes.users import unnamed
from agentrecord.server.shown import page
from agentrecord.server.wire import store_of
from agentrecord.store import AsyncStore

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

STRETCH = ("since", "from", "to")
DELETED_AT_ONCE = 50


@router.get("/agents/{agent_id:path}/compare")
async def compare(request: Request, agent_id: str) -> HTMLResponse:
    """Show two versions of an agent side by side, or the agent whose own id ends so."""
    if not {"a", "b", "q"} & set(request.query_params):
        with suppress(NotFound):
            return await agent(request, f"{agent_id}/compare")
    store, asked = store_of(request), filters.checked(request.query_params, ("a", "b", "q", *STRETCH))
    context = await agent_compare.compare(store, agent_id, asked, store.engine.maker.clock.now())
    return page(request, "agent_compare.html", context, active="agents", asked=asked)


@router.get("/agents/{agent_id:path}")
async def agent(request: Request, agent_id: str) -> HTMLResponse:
    """Show one agent."""
    store, asked = store_of(request), filters.checked(request.query_params, STRETCH)
    context = await agent_pages.agent(store, agent_id, asked, store.engine.maker.clock.now())
    return page(request, "agent.html", context, active="agents", asked=asked)


@router.get("/u/{user_id:path}/export.jsonl")
async def export_user(request: Request, user_id: str) -> Response:
    """Send everything that is recorded for a user, a line for each fact."""
    filters.checked(request.query_params, ())
    store = store_of(request)
    known = (await store.users.details(user_id)).figures.user
    own = AsyncStore(engine=store.engine, scope=replace(store.scope, user=known.id))
    lines: AsyncIterator[bytes] = lines_of(own, known)
    headers = {"Content-Disposition": 'attachment; filename="user.jsonl"'}
    return StreamingResponse(lines, headers=headers, media_type="application/jsonl")


@router.post("/u/{user_id:path}/delete")
async def delete_user(request: Request, user_id: str) -> Response:
    """Delete all that a user said and did, or their conversations only, once the user's own name was typed."""
    who, given = administrator_of(request), await form_of(request, "confirm", "what")
    store = who.store
    known = (await store.users.details(user_id)).figures.user
    what = given.get("what", "conversations")
    if given.get("confirm") != known.external_id or what not in ("all", "conversations"):
        error = InvalidValue("confirm", given.get("confirm", ""), f"must be {known.external_id}; nothing was deleted")
        return await _data_tab(request, known, f"{error}.")
    if what == "conversations":
        await _delete_conversations(who, known)
        return RedirectResponse(f"/u/{quote(known.external_id, safe='')}?tab=data", 303)
    unnamed(request, known)
    try:
        done = await store.users.purge(str(known.id), by=who.actor)
        while done.cursor is not None:
            done = await store.users.purge(str(known.id), cursor=done.cursor, by=who.actor)
    except (Conflict, InvalidValue) as error:
        return await _data_tab(request, known, f"{error}.")
    return RedirectResponse(f"/u/{known.id}?tab=data", 303)


async def _data_tab(request: Request, known: User, refused: str) -> Response:
    store, asked = store_of(request), {"tab": "data"}
    context = await user_pages.user(store, str(known.id), asked, store.engine.maker.clock.now(), refused=refused)
    return page(request, "user.html", context, active="users", asked=asked, status=422, at=f"/u/{known.id}")


async def _delete_conversations(who: Identity, known: User) -> None:
    await who.store.audit.record(
        "user.delete_sessions", "user", str(known.id), actor_kind=who.actor.kind, actor=who.actor.name,
        origin=who.actor.origin,
    )  # fmt: skip
    wanted = SessionFilter(user_uuid=known.id, include_children=True)
    while found := (await who.store.sessions.list(wanted, limit=DELETED_AT_ONCE)).items:
        for session in found:
            # One below another goes with it.
            if await who.store.sessions.find(session.id) is not None:
                await who.store.sessions.delete(session.id)


@router.get("/u/{user_id:path}")
async def user(request: Request, user_id: str) -> HTMLResponse:
    """Show one user."""
    store, asked = store_of(request), filters.checked(request.query_params, ("tab", *STRETCH, "after"))
    context = await user_pages.user(store, user_id, asked, store.engine.maker.clock.now())
    return page(request, "user.html", context, active="users", asked=asked)


@router.get("/errors/{fingerprint}")
async def error(request: Request, fingerprint: str) -> HTMLResponse:
    """Show one group of equal errors."""
    store, asked = store_of(request), filters.checked(request.query_params, ())
    context = await error_pages.error(store, fingerprint, store.engine.maker.clock.now())
    return page(request, "error.html", context, active="errors", asked=asked)


@router.post("/errors/{fingerprint}/resolve")
async def resolve(request: Request, fingerprint: str) -> Response:
    """Mark a group as resolved."""
    await form_of(request)
    who = identity_of(request)
    found = await who.store.errors.resolve(fingerprint, by=who.actor)
    return RedirectResponse(f"/errors/{found.fingerprint}", 303)


@router.post("/errors/{fingerprint}/reopen")
async def reopen(request: Request, fingerprint: str) -> Response:
    """Open a group again."""
    await form_of(request)
    who = identity_of(request)
    found = await who.store.errors.reopen(fingerprint, by=who.actor)
    return RedirectResponse(f"/errors/{found.fingerprint}", 303)
