"""What holds for every answer: headers, hosts, sizes; and pages that hold nothing foreign."""

import gzip
import re
import shutil
import socket
from pathlib import Path

import pytest
from page_fixtures import NASTY, Filled, served, signed_in
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from agentrecord.dashboard.assets import STATIC, asset, fingerprint, version
from agentrecord.server.middleware import MAX_BODY_BYTES, BodyLimit, is_known
from serving import serving

TEMPLATES = STATIC.parent / "templates"
EXPECTED = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def pages(filled: Filled) -> list[str]:
    return [
        "/", "/sessions", "/runs", "/cost?since=all", "/cost?by=session", "/errors", "/search?q=fix", "/prices",
        "/imports",
        f"/s/{filled.session}", f"/s/{filled.child}", f"/r/{filled.run}", f"/r/{filled.run}?span={filled.failed_tool}",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/sessions", "/api/sessions", "/healthz", "/nope", "/api/nope", "/sign-in"])
def test_every_answer_has_the_security_headers(path: str) -> None:
    with served() as (client, _):
        for answer in (client.get(path), signed_in(client).get(path)):
            assert {name: answer.headers[name] for name in EXPECTED} == EXPECTED
            assert re.fullmatch(r"total;dur=\d+\.\d", answer.headers["server-timing"])
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("localhost:8321", 200), ("127.0.0.1:8321", 200), ("[::1]:8321", 200), ("LOCALHOST", 200),
        ("evil.example", 400), ("127.0.0.1.evil.example", 400), ("localhost:x", 400), ("localhost@evil", 400),
        ("", 400),
    ],
)  # fmt: skip
def test_only_this_computers_names_are_answered(host: str, status: int) -> None:
    with served(filled=False) as (client, _):
        assert client.get("/healthz", headers={"host": host}).status_code == status


def test_two_hosts_or_none_are_refused() -> None:
    assert not is_known([])
    assert not is_known(["localhost", "evil.example"])


def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    with served() as (client, _):
        signed_in(client)
        headers = {"sec-fetch-site": "same-origin", "content-type": "application/json"}
        frame = len(b'{"title":""}')
        fits = b'{"title":"' + b"a" * (MAX_BODY_BYTES - frame) + b'"}'
        assert client.patch("/api/sessions/s-1", content=fits, headers=headers).status_code != 413
        answer = client.patch("/api/sessions/s-1", content=fits + b" ", headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        unknown_length = iter([b'{"title":"', *[b"a" * 1024 * 1024] * 11, b'"}'])
        assert client.patch("/api/sessions/s-1", content=unknown_length, headers=headers).status_code == 413


async def _read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await PlainTextResponse("read")(scope, receive, send)


def test_a_body_that_never_ends_is_refused_in_time() -> None:
    with serving(BodyLimit(_read_all, max_s=0.3)) as base:
        host, port = base.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            answer = client.makefile("rb").read()  # to its end: head and body may come one after the other
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"problem+json" in answer
    assert b"did not come within 0.3 s" in answer


def test_what_people_wrote_is_text_on_every_page_and_never_markup() -> None:
    with served() as (client, filled):
        assert filled is not None
        signed_in(client)
        for path in pages(filled):
            page = client.get(path).text
            assert "<script>alert" not in page, path
            assert "<img" not in page, path
        assert "&lt;script&gt;alert(1)" in client.get(f"/s/{filled.session}").text
        assert NASTY in client.get("/api/sessions/s-1/messages").json()["items"][0]["content"]


def test_pages_have_no_inline_style_or_script_and_ask_nobody_else() -> None:
    with served() as (client, filled):
        assert filled is not None
        signed_in(client)
        for path in pages(filled):
            page = client.get(path).text
            assert not re.search(r"<[^>]+\s(style|on\w+)=", page), path
            scripts = re.findall(r"<script[^>]*>", page)
            assert scripts[0] == f'<script src="{asset("page.js")}" type="module">', path
            assert all(
                re.fullmatch(rf'<script src="/static/{version()}/[a-z]+\.js" type="module">', one) for one in scripts
            ), path
            for address in re.findall(r'<(?:link|script|img|iframe|form)[^>]+(?:href|src|action)="([^"]*)"', page):
                assert address.startswith("/"), (path, address)


def scripts_of(text: str) -> set[str]:
    """Return the scripts that a page or a script names, and all that these import."""
    found = set(re.findall(r'asset\("(\w+\.js)"\)|"\./(\w+\.js)"', text))
    names = {name for pair in found for name in pair if name}
    return names.union(*(scripts_of((STATIC / name).read_text(encoding="utf-8")) for name in names))


def test_scripts_and_styles_stay_small() -> None:
    base = (TEMPLATES / "base.html").read_text(encoding="utf-8")
    everything: set[str] = set()
    for template in TEMPLATES.glob("*.html"):
        scripts = scripts_of(base + template.read_text(encoding="utf-8"))
        everything |= scripts
        assert sum(len(gzip.compress((STATIC / name).read_bytes())) for name in scripts) < 30_000, template.name
    assert everything == {file.name for file in STATIC.glob("*.js")}
    for file in STATIC.glob("*.css"):
        assert "http" not in file.read_text(encoding="utf-8")


def test_the_static_folder_gives_away_nothing_outside_it() -> None:
    with served() as (client, _):
        assert client.get("/static/style.css").status_code == 200
        for folder in ("/static", f"/static/{version()}", "/static/0123456789ab"):
            for path in ("/../views.py", "/%2e%2e/views.py", "/..%2fviews.py", "/", "/..%2f..%2fviews.py"):
                assert client.get(folder + path).status_code in (401, 404), folder + path


def test_a_browser_keeps_what_a_page_names_for_good_and_asks_again_for_all_else() -> None:
    with served() as (client, _):
        page = signed_in(client).get("/").text
        named = re.findall(r'"(/static/[^"]+)"', page)
        assert len(named) >= 3
        for address in named:
            answer = client.get(address)
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable", address
            name = address.rpartition("/")[2]
            assert answer.content == (STATIC / name).read_bytes()
            for other in (f"/static/{name}", f"/static/0123456789ab/{name}"):
                again = client.get(other)
                assert (again.headers["cache-control"], again.content) == ("no-cache", answer.content), other
        for path in (f"/static/{version()}/nothing.css", f"/static/{version()}/{version()}/style.css"):
            missing = client.get(path)
            assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-cache"), path


def test_what_files_are_known_by_changes_with_each_of_them(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(STATIC, tmp_path / "static"))
    seen = {fingerprint(copied)}
    assert seen == {version()}
    for path in sorted(copied.iterdir()):
        path.write_bytes(path.read_bytes() + b" ")
        seen.add(fingerprint(copied))
    assert len(seen) == 1 + len(list(copied.iterdir()))
