"""Texts of users and models as their Markdown means them: no markup of theirs gets through, nobody else is asked.

What Markdown makes is written by us, from its tokens: raw HTML stays text, a link leads to the web or to a mailbox or
is no link, an image of another host is a link to it, and nothing has a style of its own.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any  # `Any`: what the parser's rules tell each other

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

TEXTS = ("marked", "raw")
TEXT_COOKIE = "agentrecord-text"

MOST_CHARS = 60_000
"""A longer text is shown as it is."""

MOST_ON_A_PAGE = 150_000
"""So many characters of a page are taken for Markdown; the texts after them are shown as they are."""

KEPT, KEPT_CHARS = 512, 4_000
"""So many texts are kept as they were formatted, if they are no longer, for whoever looks at a page again."""

MOST_TOKENS = 4_000
MOST_SIGNS = {"[": 1_500, "*": 4_000, "_": 8_000, "~": 4_000}
MOST_CELLS, MOST_CELLS_OF_A_ROW = 2_000, 50
MOST_IMAGE_CHARS = 64_000
"""What a text may ask for before it is shown as it is: these bound the time that it takes, and what it grows to."""

_SIGNS = re.compile(r"[*_`#\[\]<>~\\|&]|^\s*(?:[-+=]|\d+[.)])|https?://|^(?: {4}|\t)", re.MULTILINE)
_WEB = re.compile(r"(?:https?://[^\s/]|mailto:[^\s])", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=%]+", re.ASCII)
_BARE = re.compile(r"https?://[^\s<>\"'`/][^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}…]")
_REL = "noopener noreferrer nofollow"


class Marker:
    """Renders the texts of one page; it keeps count of how much of them it took for Markdown."""

    def __init__(self, *, is_raw: bool = False) -> None:
        """Take whether texts are to be shown as they are."""
        self.is_raw = is_raw
        self._left = MOST_ON_A_PAGE

    def __call__(self, text: str) -> Markup | None:
        """Return a text as HTML; None where it is to be shown as it is, which is for the template to do."""
        if self.is_raw or len(text) > min(MOST_CHARS, self._left) or _SIGNS.search(text) is None:
            return None
        self._left -= len(text)
        return _kept(text) if len(text) <= KEPT_CHARS else marked(text)


def marked(text: str) -> Markup | None:
    """Return Markdown as HTML; None for what says nothing in it, or would grow beyond all measure."""
    if any(text.count(sign) > most for sign, most in MOST_SIGNS.items()):
        return None
    is_wide = any(line.count("|") > MOST_CELLS_OF_A_ROW for line in text.splitlines())
    parser = _parser(with_tables=not is_wide and text.count("|") <= MOST_CELLS)
    env: dict[str, Any] = {}
    tokens = parser.parse(text, env)
    if sum(1 + len(token.children or ()) for token in tokens) > MOST_TOKENS:
        return None
    found = parser.renderer.render(tokens, parser.options, env)
    pictures = "".join(
        f'<details class="picture"><summary>Image: {alt}</summary><img src="{address}" alt="{alt}"></details>'
        for alt, address in env.get("pictures", ())
    )
    return Markup(found + pictures)


_kept = lru_cache(maxsize=KEPT)(marked)


@cache
def _parser(*, with_tables: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    parser.enable(["strikethrough", *(["table"] if with_tables else [])])
    # What may not be led to stays in the text as it was written, so that it can be read.
    parser.validateLink = lambda url: _WEB.match(url) is not None or _PICTURE.fullmatch(url) is not None  # type: ignore[method-assign]
    return parser


class _Renderer(RendererHTML):
    """Writes what the tokens of Markdown mean, and nothing that they only hold."""

    def heading_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A text's headings stand below those of the page: all are of one level, and look like theirs."""
        return f'<h3 class="m{tokens[idx].tag[1:]}" dir="auto">'

    def heading_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</h3>\n"

    def paragraph_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "" if tokens[idx].hidden else '<p dir="auto">'

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="scroll" tabindex="0"><table dir="auto">\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<th scope="col"{_side(tokens[idx])}>'

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"<td{_side(tokens[idx])}>"

    def ordered_list_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        start = tokens[idx].attrGet("start")
        return "<ol>\n" if start is None else f'<ol start="{int(start)}">\n'

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<pre tabindex="0" dir="ltr">{escape(tokens[idx].content)}</pre>\n'

    code_block = fence

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        address = str(tokens[idx].attrGet("href") or "")
        # A picture's data may be shown, and are no place to go to.
        if _WEB.match(address) is None:
            return "<span>"
        env["links"] = 1
        return f'<a href="{escape(address)}" rel="{_REL}">'

    def link_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</a>" if env.pop("links", 0) else "</span>"

    def text(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A bare address of the web is a link, outside of other links."""
        said = tokens[idx].content
        if env.get("links") or "://" not in said:
            return str(escape(said))
        written, end = [], 0
        for found in _BARE.finditer(said):
            address = escape(found[0])
            written.append(f'{escape(said[end : found.start()])}<a href="{address}" rel="{_REL}">{address}</a>')
            end = found.end()
        return "".join([*written, str(escape(said[end:]))])

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        address, alt = str(token.attrGet("src") or ""), escape(token.content or "image")
        if _PICTURE.fullmatch(address) is None:
            inner = f"image: {alt}"
            return inner if env.get("links") else f'<a href="{escape(address)}" rel="{_REL}">{inner}</a>'
        if len(address) > MOST_IMAGE_CHARS:
            return f"[image: {alt}, {len(address):,} characters]"
        env.setdefault("pictures", []).append((alt, escape(address)))
        return f"[image: {alt}, below]"


def text_of(asked: Mapping[str, str], cookies: Mapping[str, str]) -> str:
    """Return how texts are to be shown, as it was asked for, now or before: marked or raw."""
    wanted = asked.get("text") or cookies.get(TEXT_COOKIE, TEXTS[0])
    return wanted if wanted in TEXTS else TEXTS[0]


def _side(token: Token) -> str:
    """Return where a cell's text stands, as a class: a style of its own is not allowed on our pages."""
    return ' class="n"' if token.attrGet("style") == "text-align:right" else ""
