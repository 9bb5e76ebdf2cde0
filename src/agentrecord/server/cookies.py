"""The cookie of a browser that is signed in: by the link of this computer, or with an account.

Only this record's secret can have made it. `v1.<expiry>` is the link's, signed with what changes whenever somebody who
came by the link signs out; `v2.<sign-in>` names a sign-in in the record,
which says at each request whether it still holds.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import urlsplit
from uuid import UUID

from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response

COOKIE_LIFE_S = 30 * 24 * 3600


def same_secret(given: str, expected: str) -> bool:
    """Compare two secrets in a time that tells nothing about either."""
    one, other = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (given, expected))
    return hmac.compare_digest(one, other)


def cookie_name(secret: bytes, *, is_https: bool = False) -> str:
    """Return the cookie's name: one for each record, since cookies do not tell apart the ports of one computer.

    Under https it starts with `__Host-`: browsers then take it from this host alone, and only when secure.
    """
    name = f"agentrecord-{hashlib.sha256(b'name' + secret).hexdigest()[:8]}"
    return f"__Host-{name}" if is_https else name


def make_cookie(secret: bytes, *, expires_at: int) -> str:
    """Return the link's cookie that holds until `expires_at`, seconds since 1970."""
    return _signed(f"v1.{expires_at}", secret)


def is_cookie(value: str, secret: bytes, *, now: float) -> bool:
    """Say whether a cookie is the link's, made with `secret`, and still holds."""
    said = _said(value, secret, "v1")
    return said is not None and said.isascii() and said.isdigit() and int(said[:12]) > now


def make_sign_in_cookie(secret: bytes, sign_in: UUID) -> str:
    """Return the cookie of a sign-in."""
    return _signed(f"v2.{sign_in.hex}", secret)


def sign_in_of_cookie(value: str, secret: bytes) -> UUID | None:
    """Return the sign-in that a cookie made with `secret` names, None for any other."""
    said = _said(value, secret, "v2")
    return UUID(hex=said) if said is not None else None


def _signed(said: str, secret: bytes) -> str:
    return f"{said}.{hmac.new(secret, said.encode(), hashlib.sha256).hexdigest()}"


def _said(value: str, secret: bytes, version: str) -> str | None:
    parts = value.split(".")
    if len(parts) != 3 or parts[0] != version or not same_secret(value, _signed(f"{version}.{parts[1]}", secret)):
        return None
    return parts[1]


def is_links(value: str) -> bool:
    """Say whether a cookie claims to be the link's."""
    return value.startswith("v1.")


def cookie_of(headers: Mapping[str, str], secret: bytes, *, is_https: bool = False) -> str:
    """Return our cookie's value in a request, empty if there is none."""
    # Other servers on this computer set cookies too, of any shape: the parser must be as lenient as browsers are.
    return cookie_parser(headers.get("cookie", "")).get(cookie_name(secret, is_https=is_https), "")


def set_cookie(response: Response, secret: bytes, value: str, *, is_https: bool) -> None:
    """Let an answer set our cookie."""
    response.set_cookie(
        cookie_name(secret, is_https=is_https),
        value,
        max_age=COOKIE_LIFE_S,
        path="/",
        secure=is_https,
        httponly=True,
        samesite="strict",
    )


def drop_cookie(response: Response, secret: bytes, *, is_https: bool) -> None:
    """Let an answer take our cookie away."""
    response.delete_cookie(
        cookie_name(secret, is_https=is_https), path="/", secure=is_https, httponly=True, samesite="strict"
    )


def signed_in(secret: bytes, link_secret: bytes, *, target: str, is_https: bool) -> Response:
    """Return the answer that sets the link's cookie, signed with `link_secret`, and leads to `target`."""
    response = RedirectResponse(target, 303)
    made = make_cookie(link_secret, expires_at=int(time.time()) + COOKIE_LIFE_S)
    set_cookie(response, secret, made, is_https=is_https)
    return response


def local_path(wanted: str | None) -> str:
    """Return `wanted` if it is a path on this server, else the first page."""
    if not wanted or not wanted.startswith("/") or wanted[1:2] in ("/", "\\"):
        return "/"
    clean = wanted.isprintable() and "\\" not in wanted and not urlsplit(wanted).netloc
    return wanted if clean else "/"


def is_same_origin(headers: Mapping[str, str], scheme: str) -> bool:
    """Say whether a page of this server sent the request; unknown counts as no."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return headers.get("origin") == f"{scheme}://{headers.get('host', '')}"
