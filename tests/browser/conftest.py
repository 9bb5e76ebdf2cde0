"""Fixtures for tests in a real browser: Chromium, and a server on loopback over a record in a file."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from shutil import which

import pytest
from playwright.sync_api import Browser, sync_playwright
from sites import SECRET, TOKEN, WAIT_MS, Open, Serve, Site, Tab
from starlette.types import ASGIApp

from agentrecord.agents.conversation import Limits
from agentrecord.agents.runner import AgentRunner
from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore, Store
from databases import Databases
from serving import serving

INSTALL = "apt-get update && apt-get install -y chromium"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium, with a profile of its own.

    Of a module, not of the session: while it is there, nothing else can run an event loop on this thread.
    """
    found = which("chromium")
    if found is None:
        pytest.fail(f"there is no chromium on this computer; install it: {INSTALL}")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=list(FLAGS), timeout=60_000)
        yield launched
        launched.close()


@pytest.fixture
def serve(databases: Databases) -> Iterator[Serve]:
    """Return what serves a fresh record with a runner: `serve(runner, limits=…, wrap=…)`."""
    with ExitStack() as stack:

        def start(
            runner: AgentRunner | None = None,
            *,
            limits: Limits | None = None,
            wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app,
        ) -> Site:
            path = databases.create("sqlite")
            store = AsyncStore(path)
            stack.callback(databases.drop, path)
            stack.callback(store.close)
            app = build_app(store, secret=SECRET, sign_in_token=TOKEN, runner=runner, limits=limits)
            return Site(url=stack.enter_context(serving(wrap(app))), store=Store(engine=store.engine))

        yield start


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Open]:
    """Return what opens a page that is signed in to a site; when the test ends, it must have behaved."""
    tabs: list[Tab] = []

    def start(site: Site, **options: object) -> Tab:
        given = {"viewport": {"width": 1280, "height": 800}, **options}
        context = browser.new_context(**given)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        tab = Tab(page=context.new_page(), site=site)
        tab.open(f"/sign-in?token={TOKEN}&next=/imports")
        tab.watch()
        tabs.append(tab)
        return tab

    yield start
    for tab in tabs:
        tab.page.context.close()
    assert [(tab.complaints, tab.outside) for tab in tabs] == [([], []) for _ in tabs]
