"""A tab of the browser that is watched: what it complains about, whom else it asks, which scripts it loads."""

from contextlib import ExitStack
from dataclasses import dataclass, field

from playwright.sync_api import Browser, BrowserContext, Page, Request
from sites import SECRET, TOKEN, WAIT_MS, Site

from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore, Store
from databases import Databases
from serving import serving


@dataclass(kw_only=True)
class Watched:
    """A signed-in page, what it complained about, whom else it asked, and the scripts that it loaded."""

    page: Page
    site: Site
    complaints: list[str] = field(default_factory=list)
    scripts: set[str] = field(default_factory=set)

    def open(self, path: str) -> Page:
        """Go to a page of the site, and forget what was noted of the last one."""
        self.complaints.clear()
        self.scripts.clear()
        self.page.goto(self.site.url + path)
        return self.page

    def note(self, request: Request) -> None:
        """Note a request."""
        if not request.url.startswith((self.site.url + "/", "data:")):
            self.complaints.append(f"asked {request.url}")
        elif request.url.endswith(".js"):
            self.scripts.add(request.url.rsplit("/", 1)[1])


def started(stack: ExitStack, databases: Databases) -> Site:
    """Serve an empty record in a file."""
    path = databases.create("sqlite")
    store = AsyncStore(path)
    stack.callback(databases.drop, path)
    stack.callback(store.close)
    app = build_app(store, secret=SECRET, sign_in_token=TOKEN)
    return Site(url=stack.enter_context(serving(app)), store=Store(engine=store.engine))


def watched(browser: Browser, stack: ExitStack, site: Site, **options: object) -> Watched:
    """Open a tab that is signed in to a site, and watch it."""
    given = {"viewport": {"width": 1440, "height": 900}, **options}
    context: BrowserContext = browser.new_context(**given)  # type: ignore[arg-type]
    stack.callback(context.close)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(f"{site.url}/sign-in?token={TOKEN}&next=/imports")
    found = Watched(page=page, site=site)

    def on_console(message: object) -> None:
        text = getattr(message, "text", "")
        # A query that is refused answers 422, which the browser notes as a failure.
        if getattr(message, "type", "") in ("error", "warning") and "422" not in text:
            found.complaints.append(text)

    page.on("console", on_console)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (found.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", found.note)
    return found
