"""Every page of the application by its route, and what is looked at on each."""

import gzip
from functools import cache
from importlib.resources import files

from contents import Contents
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from playwright.sync_api import Page

from agentrecord.dashboard.assets import STATIC
from agentrecord.server.app import PAGE_ROUTES

PARTS: frozenset[str] = frozenset({"/runs/rows/{run_id:path}"})
"""Routes that give a piece of a page, which another page asks for."""


def page_routes() -> set[str]:
    """Return the paths of all routes that show a page."""
    found = [route for module in PAGE_ROUTES for route in module.router.routes if isinstance(route, APIRoute)]
    return {route.path for route in found if "GET" in (route.methods or ()) and _is_page(route)} - PARTS


def _is_page(route: APIRoute) -> bool:
    return route.response_class is HTMLResponse and "." not in route.path


def addresses(found: Contents) -> dict[str, list[str]]:
    """Return where each route is looked at."""
    return {
        "/": ["/", "/?since=7d"],
        "/chat": ["/chat"],
        "/chat/{session_id:path}": [f"/chat/{found.session}"],
        "/sessions": ["/sessions", "/sessions?q=nothing-like-this"],
        "/s/{session_id:path}": [f"/s/{found.session}", f"/s/{found.session}?tab=runs"],
        "/m/{message_id}": [f"/m/{found.message}"],
        "/runs": ["/runs", "/runs?q=statsu:error", "/runs?q=has:error+-user:nobody&since=24h"],
        "/r/{run_id:path}": [
            f"/r/{found.run}",
            f"/r/{found.run}?span={found.tool}",
            f"/r/{found.run}?span={found.call}",
            f"/r/{found.run}?spans=kind:tool",
        ],
        "/cost": ["/cost?since=all", "/cost?since=all&by=tool"],
        "/runs/compare": [f"/runs/compare?a={found.run}&b={found.failed}"],
        "/agents": ["/agents"],
        "/agents/{agent_id:path}": [f"/agents/{found.agent}"],
        "/agents/{agent_id:path}/compare": [f"/agents/{found.agent}/compare"],
        "/users": ["/users"],
        "/u/{user_id:path}": [f"/u/{found.user}"],
        "/errors": ["/errors"],
        "/errors/{fingerprint}": [f"/errors/{found.fingerprint}"],
        "/search": ["/search", "/search?q=invoice", "/search?q=bob"],
        "/settings": ["/settings", "/settings?check=yes"],
        "/settings/people": ["/settings/people"],
        "/settings/keys": ["/settings/keys"],
        "/settings/password": ["/settings/password"],
        "/prices": ["/prices"],
        "/imports": ["/imports"],
        "/sql": ["/sql", "/sql?q=SELECT+*+FROM+ar_llm_calls", "/sql?q=SELEC"],
        "/sign-in": ["/sign-in"],
    }


@cache
def axe_source() -> str:
    """Return the script of axe-core."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def axe_violations(page: Page, *rules: str) -> list[str]:
    """Return what axe-core finds wrong with a page, by all its rules or by some: the rule, and where."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(f"() => {{ {axe_source()} }}")
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    found = page.evaluate("async options => (await axe.run(document, options)).violations", options)
    return [
        f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}" for rule in found for node in rule["nodes"]
    ]


def script_bytes(names: set[str]) -> int:
    """Return how many bytes scripts weigh, compressed as they are sent."""
    return sum(len(gzip.compress((STATIC / name).read_bytes(), 6)) for name in names)


def text_of(page: Page) -> str:
    """Return what a page's main part says, folded or not: instants in full, no buttons that only scripts give."""
    said = page.locator("main").evaluate("""main => {
        const copy = main.cloneNode(true);
        for (const node of copy.querySelectorAll("button, script, [hidden]")) node.remove();
        for (const node of copy.querySelectorAll("time")) node.textContent = node.dateTime;
        return copy.textContent;
    }""")
    return " ".join(said.split())
