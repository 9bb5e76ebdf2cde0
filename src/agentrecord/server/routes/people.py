"""Pages to sign in and out on, and to look after people and keys: plain forms that work without scripts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from agentrecord.dashboard import filters
from agentrecord.dashboard import people as pages
from agentrecord.dashboard.views import sign_in_page
from agentrecord.exceptions import AgentRecordError, InvalidValue
from agentrecord.server import cookies
from agentrecord.server.forms import form_of
from agentrecord.server.gate import Gate
from agentrecord.server.identity import Identity, address_of, administrator_of, identity_of
from agentrecord.server.problems import of_error
from agentrecord.server.routes.accounts import AccountChanges, changed_account, made_account
from agentrecord.server.routes.auth import desk_of
from agentrecord.server.routes.keys import GivenRole, made_key
from agentrecord.server.shown import page

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def _gate(request: Request) -> Gate:
    found: Gate = request.app.state.gate
    return found


def _is_https(request: Request) -> bool:
    return request.url.scheme == "https"


def _role(given: Mapping[str, str], default: GivenRole) -> GivenRole:
    wanted = given.get("role", default)
    if wanted not in list(GivenRole):
        raise InvalidValue("role", wanted, f"is none; use {', '.join(GivenRole)}")
    return GivenRole(wanted)


@router.get("/sign-in")
async def show_sign_in(request: Request) -> HTMLResponse:
    """Show the form to sign in with."""
    asked = filters.checked(request.query_params, ("next",))
    theme = filters.theme_of(request.query_params, request.cookies)
    return HTMLResponse(sign_in_page(next_path=cookies.local_path(asked.get("next")), theme=theme))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Sign a browser in, and lead it where it wanted to go."""
    given = await form_of(request, "email", "password", "next")
    target, email = cookies.local_path(given.get("next")), given.get("email", "")
    try:
        found = await desk_of(request).sign_in(email, given.get("password", ""), address=address_of(request.scope))
    except AgentRecordError as error:
        told, headers = of_error(error)
        shown = sign_in_page(said=f"{told.detail[:1].upper()}{told.detail[1:]}.", next_path=target, email=email,
                             theme=filters.theme_of({}, request.cookies))  # fmt: skip
        return HTMLResponse(shown, told.status, headers)
    response = RedirectResponse(target, 303)
    secret = _gate(request).secret
    cookies.set_cookie(response, secret, cookies.make_sign_in_cookie(secret, found.id), is_https=_is_https(request))
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Sign a browser out."""
    await form_of(request)
    await desk_of(request).sign_out(identity_of(request))
    response = RedirectResponse("/sign-in", 303)
    cookies.drop_cookie(response, _gate(request).secret, is_https=_is_https(request))
    return response


@router.get("/settings/password")
async def show_password(request: Request) -> HTMLResponse:
    """Show the form to change one's own password with."""
    filters.checked(request.query_params, ())
    return page(request, "password.html", pages.PasswordPage(), active="password", asked={})


@router.post("/settings/password")
async def change_password(request: Request) -> Response:
    """Change one's own password."""
    given = await form_of(request, "old_password", "new_password")
    who, old, new = identity_of(request), given.get("old_password", ""), given.get("new_password", "")
    try:
        await desk_of(request).change_password(who, old, new)
    except AgentRecordError as error:
        return _refused(request, "password.html", pages.PasswordPage(refused=of_error(error)[0].detail), error)
    return page(request, "password.html", pages.PasswordPage(is_changed=True), active="password", asked={})


def _refused(request: Request, template: str, context: object, error: AgentRecordError) -> Response:
    """Return a page with its form once more, and why it was not carried out."""
    told, headers = of_error(error)
    name = template.removesuffix(".html")
    shown = page(request, template, context, active=name, asked={}, status=told.status, at=f"/settings/{name}")
    shown.headers.update(headers)
    return shown


@router.get("/settings/people")
async def show_people(request: Request) -> HTMLResponse:
    """List accounts."""
    who, asked = administrator_of(request), filters.checked(request.query_params, ("after",))
    return page(request, "people.html", await pages.people(who.store, asked, me=who.id), active="people", asked=asked)


async def _people_again(request: Request, who: Identity, error: AgentRecordError, given: Mapping[str, str]) -> Response:
    kept = {name: value for name, value in given.items() if name != "password"}
    context = await pages.people(who.store, {}, me=who.id, refused=of_error(error)[0].detail, given=kept)
    return _refused(request, "people.html", context, error)


@router.post("/settings/people")
async def create_account(request: Request) -> Response:
    """Make an account."""
    who = administrator_of(request)
    given = await form_of(request, "email", "name", "password", "role")
    try:
        await made_account(
            who, desk_of(request), given.get("email", ""), given.get("password", ""),
            name=given.get("name"), role=_role(given, GivenRole.WRITE),
        )  # fmt: skip
    except AgentRecordError as error:
        return await _people_again(request, who, error, given)
    return RedirectResponse("/settings/people", 303)


@router.post("/settings/people/{account_id}")
async def change_account(request: Request, account_id: UUID) -> Response:
    """Change an account's role, state or password."""
    who = administrator_of(request)
    given = await form_of(request, "role", "disabled", "password")
    try:
        changes = AccountChanges(
            role=_role(given, GivenRole.WRITE) if "role" in given else None,
            disabled={"yes": True, "no": False}.get(given.get("disabled", "")),
            password=given.get("password"),
        )
        await changed_account(who, desk_of(request), account_id, changes)
    except AgentRecordError as error:
        return await _people_again(request, who, error, {})
    return RedirectResponse("/settings/people", 303)


@router.get("/settings/keys")
async def show_keys(request: Request) -> HTMLResponse:
    """List API keys."""
    who, asked = administrator_of(request), filters.checked(request.query_params, ("after",))
    return page(request, "keys.html", await pages.keys(who.store, asked), active="keys", asked=asked)


@router.post("/settings/keys")
async def create_key(request: Request) -> Response:
    """Make an API key, and show its secret this once."""
    who = administrator_of(request)
    given = await form_of(request, "name", "role", "user", "expires")
    try:
        made = await made_key(
            who, given.get("name", ""), _role(given, GivenRole.READ),
            user=given.get("user"), expires_at=_end_of_day(given.get("expires")),
        )  # fmt: skip
    except AgentRecordError as error:
        context = await pages.keys(who.store, {}, refused=of_error(error)[0].detail, given=given)
        return _refused(request, "keys.html", context, error)
    return page(request, "keys.html", await pages.keys(who.store, {}, made=made), active="keys", asked={})


@router.post("/settings/keys/{key_id}/revoke")
async def revoke_key(request: Request, key_id: UUID) -> Response:
    """Take a key out of use."""
    who = administrator_of(request)
    await form_of(request)
    await who.store.keys.revoke(key_id, by=who.actor)
    return RedirectResponse("/settings/keys", 303)


def _end_of_day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(hour=23, minute=59, second=59, tzinfo=UTC)
    except ValueError:
        raise InvalidValue("expires", text, "is no date; write it as in 2027-01-31") from None
