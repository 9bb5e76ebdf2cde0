"""Pages as their viewer sees them: with who is signed in, in the colours that were chosen."""

from typing import Any  # `Any`: a page's context is its own dataclass
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse

from agentrecord.dashboard import filters, marked, settings
from agentrecord.dashboard.carrying import placed
from agentrecord.dashboard.views import COMMAND, Viewer, render
from agentrecord.server import choosing
from agentrecord.server.identity import identity_of

PREFERENCE_LIFE_S = 365 * 24 * 3600


def page(
    request: Request, template: str, context: Any, *, active: str, asked: filters.Asked, status: int = 200,
    at: str | None = None,
) -> HTMLResponse:  # fmt: skip
    """Return a page as its viewer sees it; `at` is the page's own path where another one answers with it."""
    who = identity_of(request)
    zone, unknown_zone = filters.zone_of(request.query_params, request.cookies)
    viewer = Viewer(
        name=who.name, role=who.role, may_sign_out=who.by_cookie, has_password=who.sign_in is not None,
        may_administer=who.role.may_administer, project=who.chosen, projects=who.projects,
        zone=zone, unknown_zone=unknown_zone,
        command=request.app.state.command if who.role.may_administer else COMMAND,
    )  # fmt: skip
    theme = filters.theme_of(request.query_params, request.cookies)
    now = who.store.engine.maker.clock.now()
    keys = settings.keys_of(request.query_params if active == "settings" else {}, request.cookies)
    text = marked.text_of(request.query_params, request.cookies)
    html = render(
        template, context, active=active, theme=theme, keys=keys, text=text, asked=asked, now=now, viewer=viewer
    )
    shown = HTMLResponse(html if at is None else placed(html, at), status)
    if "theme" in request.query_params:
        shown.set_cookie(filters.THEME_COOKIE, theme, max_age=PREFERENCE_LIFE_S, samesite="strict", httponly=True)
    if "text" in request.query_params:
        shown.set_cookie(marked.TEXT_COOKIE, text, max_age=PREFERENCE_LIFE_S, samesite="strict", httponly=True)
    if request.query_params.get("tz") and not unknown_zone:
        name = quote(str(zone), safe="/+-_")
        shown.set_cookie(filters.ZONE_COOKIE, name, max_age=PREFERENCE_LIFE_S, samesite="strict", httponly=True)
    secret = request.app.state.gate.secret
    if who.chosen and choosing.remembered(request.headers, secret) != who.chosen:
        choosing.remember(shown, secret, who.chosen)
    return shown
