"""What the tests in a browser work with: sites served on loopback, and tabs that must behave."""

from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Page, Request

from agentrecord.store import Store

SECRET = b"fedcba9876543210fedcba9876543210"
TOKEN = "the-browsers-sign-in-token"
WAIT_MS = 15_000


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server, and the record behind it as a program in the same process sees it."""

    url: str
    store: Store


@dataclass(kw_only=True)
class Tab:
    """A signed-in page of the browser, and what it must not do: complain, or ask another host.

    A failed request is a complaint too, unless `may_fail`.
    """

    page: Page
    site: Site
    may_fail: bool = False
    complaints: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Go to a page of the site."""
        self.page.goto(self.site.url + path)
        return self.page

    def watch(self) -> None:
        """Note what the page complains about, and whom it asks."""
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        expected = self.may_fail and message.text.startswith("Failed to load resource")
        if message.type in ("error", "warning") and not expected:
            self.complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.site.url + "/", "data:")):
            self.outside.append(request.url)


Serve = Callable[..., Site]
Open = Callable[..., Tab]
