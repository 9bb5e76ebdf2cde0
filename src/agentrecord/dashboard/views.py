"""Templates to pages: every value is escaped, every name must be there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from agentrecord.dashboard import charts, conversation, filters, formats
from agentrecord.dashboard.assets import asset
from agentrecord.dashboard.carrying import carrying
from agentrecord.dashboard.marked import TEXTS, Marker
from agentrecord.dashboard.sql_links import sql_link
from agentrecord.dashboard.stretches import moves_of
from agentrecord.records.lengths import DAY
from agentrecord.records.query import written

TEMPLATES = Path(__file__).parent / "templates"
NAVIGATION = (
    ("overview", "/", "Overview"),
    ("chat", "/chat", "Chat"),
    ("sessions", "/sessions", "Sessions"),
    ("runs", "/runs", "Runs"),
    ("cost", "/cost", "Cost"),
    ("agents", "/agents", "Agents"),
    ("users", "/users", "Users"),
    ("errors", "/errors", "Errors"),
)
FOOTER = (
    ("settings", "/settings", "Settings"),
    ("prices", "/prices", "Prices"),
    ("imports", "/imports", "Imports"),
    ("sql", "/sql", "SQL"),
)


COMMAND = "agentrecord"
"""How a command begins that pages tell to type, where nothing else has to be said of the record."""


@pass_context
def _instant(context: Context, at: datetime) -> str:
    now: datetime = context["now"]
    return formats.instant(at, now.tzinfo or UTC)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for name in (
        "money",
        "signed_money",
        "cost",
        "rate",
        "number",
        "tokens",
        "short_tokens",
        "counted",
        "short",
        "percent",
        "delta",
        "duration",
        "seen",
        "when",
        "one_line",
        "gist",
    ):
        environment.filters[name] = getattr(formats, name)
    environment.filters.update(pretty_json=formats.pretty_json, segment=formats.segment, instant=_instant, word=written)
    environment.globals.update(
        asset=asset,
        navigation=NAVIGATION,
        footer=FOOTER,
        with_changes=filters.with_changes,
        moves_of=moves_of,
        ranges=filters.RANGES,
        themes=filters.THEMES,
        series_dot=charts.dot,
        share_bar=charts.share_bar,
        page_start=conversation.page_start,
        between=formats.between,
        sql_link=sql_link,
        unknown=formats.UNKNOWN,
        one_day=DAY,
    )
    return environment


LIVE = {
    "overview.html": "message llm_call tool_call error run session",
    "sessions.html": "message llm_call tool_call error run session",
    "runs.html": "run llm_call tool_call",
    "errors.html": "error run tool_call llm_call",
    "error.html": "error tool_call llm_call",
    "users.html": "message llm_call tool_call error run session",
    "agents.html": "llm_call tool_call error run",
}
"""Which pages follow the record when asked to, by template, and which kinds of change they show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks at a page: shown in its footer, with what leads on from there.

    `projects` are those to choose from where there are several, `project` is the one that the page shows. `zone` is the
    time zone of the times on it, `unknown_zone` the name of one that was asked for and is none. `command`
    is how a command on this record begins, for who may know where it is.
    """

    name: str
    role: str
    may_sign_out: bool
    has_password: bool
    may_administer: bool
    project: str = ""
    projects: Sequence[str] = ()
    zone: tzinfo = UTC
    unknown_zone: str = ""
    command: str = COMMAND


def render(
    template: str,
    context: object,
    *,
    active: str,
    theme: str = "auto",
    keys: str = "on",
    text: str = TEXTS[0],
    asked: filters.Asked,
    now: datetime,
    viewer: Viewer | None = None,
) -> str:
    """Return a page: `context` is the page's own dataclass, known to its template as `page`.

    With `keys` off, single keys do nothing on it; with `text` raw, texts are shown as they were written.
    """
    found = _environment().get_template(template)
    live = LIVE.get(template, "")
    # The clock of whoever looks: what is written beside it is in its zone.
    here = now if viewer is None else now.astimezone(viewer.zone)
    shown = found.render(
        page=context, active=active, theme=theme, keys=keys, asked=asked, now=here, viewer=viewer, live=live,
        marked=Marker(is_raw=text == "raw"),
    )  # fmt: skip
    return carrying(shown, viewer.project) if viewer is not None and viewer.project else shown


def sign_in_page(*, said: str = "", next_path: str = "/", email: str = "", theme: str = "auto") -> str:
    """Return the page that asks for e-mail and password: `said` is why, `next_path` where it leads."""
    context = {"said": said, "next": next_path, "email": email}
    return render("sign_in.html", context, active="sign-in", theme=theme, asked={}, now=datetime.now(UTC))


def problem_page(
    *, status: int, title: str, detail: str, instance: str, fields: Sequence[tuple[str, str]] = (), theme: str = "auto"
) -> str:
    """Return the page that says what went wrong, under which id the log tells more, and where to go on."""
    context = {"status": status, "title": title, "detail": detail, "instance": instance, "fields": fields}
    return render("problem.html", context, active="", theme=theme, asked={}, now=datetime.now(UTC))
