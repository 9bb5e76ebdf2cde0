"""Our pages beside Arize Phoenix's, in a browser, over the same spans on the same machine.

    python -m venv /tmp/phoenix && /tmp/phoenix/bin/pip install arize-phoenix
    python -m benchmarks.peer_pages --phoenix /tmp/phoenix/bin/phoenix [--requests 20] [--rounds 5]

Each side is a server of its own on loopback. A page has its content when the words that it is opened for are seen: an
agent's name in the list of runs or traces, a step's name in one trace of 2,000 spans. Cold is a browser context that
has nothing in its cache, warm the same page once more; a static file of ours tells what a browser takes at least. Bytes
are of everything that the cold page asks for.
"""

import argparse
import base64
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from benchmarks.common import scratch
from benchmarks.otlp import requests
from benchmarks.peers import SPANS_A_REQUEST, Side, measured, ours, phoenix

STEPS = 1_999
LARGE = (1 << 100).to_bytes(16, "big")
FIRST_SPAN = 1 << 40
"""Phoenix takes each id of a span once, whatever its trace."""

A_STEP = "step-"
AGENT = "guide"
PATIENCE_MS = 120_000
PHOENIX_PROJECT = base64.b64encode(b"Project:1").decode()
SEEN = """words => document.body !== null && document.body.innerText.includes(words) ? performance.now() : false"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A page as it was opened: milliseconds until its content was seen, bytes on the wire, and decoded."""

    content_ms: float
    wire: int
    decoded: int


def large_trace() -> bytes:
    """Return a request that holds one trace: an agent and its 1,999 uses of tools."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    began = time.time_ns() - 600_000_000_000
    for place in range(STEPS + 1):
        name = f"invoke_agent {AGENT}" if place == 0 else f"execute_tool step-{place:04}"
        span = spans.add(trace_id=LARGE, span_id=(FIRST_SPAN + place).to_bytes(8, "big"), name=name,
                         start_time_unix_nano=began + place * 100_000_000,
                         end_time_unix_nano=began + (STEPS + 1 if place == 0 else place + 1) * 100_000_000)  # fmt: skip
        told = {"gen_ai.operation.name": name.split(maxsplit=1)[0], "gen_ai.conversation.id": "large"}
        told |= {"gen_ai.agent.name": AGENT} if place == 0 else {"gen_ai.tool.name": name.split()[1]}
        for key, value in told.items():
            span.attributes.add(key=key).value.string_value = value
        if place:
            span.parent_span_id = FIRST_SPAN.to_bytes(8, "big")
    return request.SerializeToString()


@contextmanager
def _fresh(browser: Browser, cookies: Sequence[object]) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies(list(cookies))  # type: ignore[arg-type]
    yield context
    context.close()


def opened(context: BrowserContext, url: str, words: str) -> Opened:
    """Open a page in a new tab and wait for its words."""
    page = context.new_page()
    told, wire, decoded = context.new_cdp_session(page), [0], [0]
    told.on("Network.loadingFinished", lambda event: wire.append(int(event["encodedDataLength"])))
    told.on("Network.dataReceived", lambda event: decoded.append(int(event["dataLength"])))
    told.send("Network.enable")
    page.goto(url, wait_until="commit")
    seen = page.wait_for_function(SEEN, arg=words, polling=10, timeout=PATIENCE_MS).json_value()
    page.wait_for_load_state("networkidle")
    page.close()
    return Opened(float(seen), sum(wire), sum(decoded))


def _signed_in(browser: Browser, folder: Path, base: str) -> Sequence[object]:
    """Return the cookies of whoever follows the link that our server prints."""
    found = re.search(r"/sign-in\?token=\S+", (folder / "server.log").read_text(encoding="utf-8"))
    if found is None:
        raise RuntimeError("the server printed no link that signs in")
    context = browser.new_context()
    context.new_page().goto(base + found[0])
    cookies: Sequence[object] = context.cookies()
    context.close()
    return cookies


def _report(
    browser: Browser, name: str, pages: dict[str, tuple[str, str]], cookies: Sequence[object], rounds: int
) -> None:
    for what, (url, words) in pages.items():
        cold, warm = [], []
        for _ in range(rounds):
            with _fresh(browser, cookies) as context:
                cold.append(opened(context, url, words))
                warm.append(opened(context, url, words))
        first = cold[0]
        print(
            f"{name}, {what}: content {statistics.median(one.content_ms for one in cold):,.0f} ms cold,"
            f" {statistics.median(one.content_ms for one in warm):,.0f} ms warm;"
            f" {first.wire / 1e3:,.0f} KB on the wire, {first.decoded / 1e3:,.0f} KB decoded", flush=True,
        )  # fmt: skip


def _filled(side: Side, bodies: Sequence[bytes]) -> str:
    """Send everything to a side and return its address."""
    measured(side, bodies)
    return side.url.removesuffix("/v1/traces")


def main(given: Sequence[str]) -> None:
    """Open the pages of both sides and print what each took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer_pages", description=__doc__)
    parser.add_argument("--phoenix", required=True, help="the program of an installed arize-phoenix")
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(given)
    bodies = [*requests(chosen.requests), large_trace()]
    print(f"{chosen.requests * SPANS_A_REQUEST:,} spans, and one trace of {STEPS + 1:,}", flush=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        with scratch() as folder, ours(folder) as side:
            base = _filled(side, bodies)
            pages = {
                "a static file": (f"{base}/static/style.css", "--bg"),
                "overview": (f"{base}/", AGENT),
                "runs": (f"{base}/runs", AGENT),
                "one trace": (f"{base}/r/{LARGE.hex()}", A_STEP),
            }
            _report(browser, "ours", pages, _signed_in(browser, folder, base), chosen.rounds)
        with scratch() as folder, phoenix(chosen.phoenix, folder) as side:
            base = _filled(side, bodies)
            project = f"{base}/projects/{PHOENIX_PROJECT}"
            pages = {
                "traces": (f"{project}/traces", AGENT),
                "one trace": (f"{project}/traces/{LARGE.hex()}", A_STEP),
            }
            _report(browser, "Phoenix", pages, (), chosen.rounds)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
