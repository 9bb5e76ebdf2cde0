"""What a server process has done since it started, as monitoring reads it: requests by kind and answer, their times.

Nothing in it is of the record: no name, no path, no text.
"""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator

import agentrecord
from agentrecord.dashboard.assets import FOLDER
from agentrecord.server.problems import is_api, is_otlp

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts of one process."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._began = time.monotonic()
        self._answers: Counter[tuple[str, str]] = Counter()
        self._times: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, float] = defaultdict(float)

    def note(self, path: str, status: int, seconds: float) -> None:
        """Count an answer that began `seconds` after its request: a stream goes on as long as it is listened to."""
        kind = kind_of(path)
        self._answers[kind, f"{status // 100}xx"] += 1
        self._times[kind, bisect_left(BOUNDS_S, seconds)] += 1
        self._seconds[kind] += seconds

    def text(self, *, streams: int, unwritten: int) -> str:
        """Return all of it in Prometheus' text format, with the live streams and the audit entries that were lost."""
        return "\n".join([*self._lines(streams, unwritten), ""])

    def _lines(self, streams: int, unwritten: int) -> Iterator[str]:
        yield from _head("build_info", "gauge", "The version that runs")
        yield f'agentrecord_build_info{{version="{agentrecord.__version__}"}} 1'
        yield from _head("uptime_seconds", "gauge", "Since this process began to serve")
        yield f"agentrecord_uptime_seconds {time.monotonic() - self._began:.3f}"
        yield from _head("live_streams", "gauge", "Pages and programs that follow the record")
        yield f"agentrecord_live_streams {streams}"
        yield from _head("audit_entries_lost_total", "counter", "Audit entries that could not be written")
        yield f"agentrecord_audit_entries_lost_total {unwritten}"
        yield from _head("requests_total", "counter", "Answers by kind and class of status")
        for (kind, status), count in sorted(self._answers.items()):
            yield f'agentrecord_requests_total{{kind="{kind}",status="{status}"}} {count}'
        yield from _head("request_seconds", "histogram", "From a request to the beginning of its answer")
        for kind in sorted(self._seconds):
            count = 0
            for place, bound in enumerate([*map(str, BOUNDS_S), "+Inf"]):
                count += self._times[kind, place]
                yield f'agentrecord_request_seconds_bucket{{kind="{kind}",le="{bound}"}} {count}'
            yield f'agentrecord_request_seconds_sum{{kind="{kind}"}} {self._seconds[kind]:.6f}'
            yield f'agentrecord_request_seconds_count{{kind="{kind}"}} {count}'


def kind_of(path: str) -> str:
    """Return what is asked for at a path: `page`, `api`, `otlp` or `static`."""
    if path.startswith(FOLDER):
        return "static"
    if is_otlp(path):
        return "otlp"
    return "api" if is_api(path) else "page"


def _head(name: str, kind: str, told: str) -> Iterator[str]:
    yield f"# HELP agentrecord_{name} {told}."
    yield f"# TYPE agentrecord_{name} {kind}"
