"""Addresses on a page that lead on in the project which the page shows, and from its own place, wherever they stand.

What is done on one page must not reach another project because a second tab chose that: so every link and every form
says which project it means, and a copied address shows the same to whoever opens it.
"""

import re
from urllib.parse import quote

from markupsafe import escape

_LINK = re.compile(r'(<a\b[^>]*?\bhref=")((?:/(?!/)|\?)[^"]*)"')
_RELATIVE = re.compile(r'(<a\b[^>]*?\bhref=")((?:\?[^"]*)?)"')
_FORM = re.compile(r"<form\b[^>]*>")
_NAMED = re.compile(r"[?&;]project=")
_ACTION = re.compile(r'(\baction=")(/[^"]*)"')


def carrying(text: str, project: str) -> str:
    """Return a page's HTML whose links and forms name `project`; what chooses a project stays as it is.

    All text in it must be escaped: a `>` stands at the end of a tag only.
    """
    named = f"project={quote(project, safe='')}"

    def form(found: re.Match[str]) -> str:
        tag = found[0]
        if 'method="dialog"' in tag or "data-chooses" in tag:
            return tag
        if 'method="post"' in tag:
            return _ACTION.sub(lambda at: f'{at[1]}{_with(at[2], named)}"', tag)
        # A form that is sent by GET loses the query of its address.
        return f'{tag}<input type="hidden" name="project" value="{escape(project)}">'

    return _FORM.sub(form, _LINK.sub(lambda at: f'{at[1]}{_with(at[2], named)}"', text))


def placed(text: str, path: str) -> str:
    """Return a page's HTML whose links to the page itself name its path, whatever address answers with it."""
    return _RELATIVE.sub(lambda at: f'{at[1]}{escape(path)}{at[2]}"', text)


def _with(address: str, named: str) -> str:
    path, mark, fragment = address.partition("#")
    if _NAMED.search(path):
        return address
    joint = "" if path.endswith("?") else "&amp;" if "?" in path else "?"
    return f"{path}{joint}{named}{mark}{fragment}"
