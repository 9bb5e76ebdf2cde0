"""A trace as a tree: who is below whom, which spans are runs, which requests to models count."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from agentrecord.ingest.otlp_words import Seen, SpanKind, seen
from agentrecord.records.span import Span


def _with_logs(one: Seen, logs: Sequence[Seen]) -> Seen:
    """Return a span with the content that log records carry for it, where the span itself has none."""
    if not logs:
        return one
    attributes = dict(one.attributes)
    events = list(one.data.get("events", ()))
    for log in logs:
        if log.name == "gen_ai.client.inference.operation.details":
            attributes = {**log.attributes, **attributes}
        elif isinstance(body := log.data.get("body"), dict):
            events.append({"name": log.name, "time": log.span.start_nanos, "attributes": body})
    return Seen(one.span, {**one.data, "events": events}, attributes)


class Tree:
    """The spans known of one trace. Whatever is asked depends on which these are, never on the order they came in."""

    def __init__(self, spans: Sequence[Span]) -> None:
        """Take the spans of one trace, each once; log records among them add to the spans that they name."""
        found = sorted(map(seen, spans), key=lambda one: one.order)
        self.logs = [one for one in found if one.is_log]
        told: dict[str | None, list[Seen]] = {}
        for log in self.logs:
            told.setdefault(log.span.parent_span_id, []).append(log)
        self.spans = [_with_logs(one, told.get(one.id, [])) for one in found if not one.is_log]
        self.trace_id = spans[0].trace_id
        self.started_at = found[0].span.started_at
        self.by_id = {one.id: one for one in self.spans}
        self.parents = self._acyclic()
        self.children: dict[str, list[Seen]] = {}
        for one in self.spans:
            if (parent := self.parents[one.id]) is not None:
                self.children.setdefault(parent.id, []).append(one)

    def _acyclic(self) -> dict[str, Seen | None]:
        """Return each span's parent, where that is known; a ring of spans is opened at the one that began first."""
        parents = {one.id: self.by_id.get(one.span.parent_span_id or "") for one in self.spans}
        sound: set[str] = set()
        for one in self.spans:
            path: dict[str, None] = {}
            at: Seen | None = one
            while at is not None and at.id not in sound and at.id not in path:
                path[at.id] = None
                at = parents[at.id]
            if at is not None and at.id in path:
                # The spans are visited in their order, so the first to reach a ring may be only below it.
                ring = list(path)[list(path).index(at.id) :]
                parents[min((self.by_id[name] for name in ring), key=lambda s: s.order).id] = None
            sound.update(path)
        return parents

    def place_of(self, log: Seen) -> Seen | None:
        """Return the span that a log record belongs to, None as long as it has not come."""
        return self.by_id.get(log.span.parent_span_id or "")

    def above(self, one: Seen) -> Iterator[Seen]:
        """Yield a span's ancestors, the nearest first."""
        at = self.parents[one.id]
        while at is not None:
            yield at
            at = self.parents[at.id]

    def below(self, one: Seen) -> Iterator[Seen]:
        """Yield a span's descendants."""
        waiting = list(self.children.get(one.id, ()))
        while waiting:
            at = waiting.pop()
            yield at
            waiting.extend(self.children.get(at.id, ()))

    @cached_property
    def root(self) -> Seen | None:
        """The span that the whole trace is below, None as long as it has not come."""
        return next((one for one in self.spans if self._is_root(one)), None)

    def _is_root(self, one: Seen) -> bool:
        is_told_of = one.span.parent_span_id in self.by_id
        return self.parents[one.id] is None and (not one.span.parent_span_id or is_told_of or one.has_remote_parent)

    @cached_property
    def runs(self) -> dict[str, str]:
        """The names of the runs by the span that each is: the root's is the trace's own."""
        return {
            one.id: self.trace_id if one is self.root else f"{self.trace_id}:{one.id}"
            for one in self.spans
            if one is self.root or one.kind is SpanKind.AGENT or self._is_root(one)
        }

    @cached_property
    def detached(self) -> dict[str, str]:
        """The id of the span that never came, by each span that is told below the trace's run for want of it.

        What is below a run is not: where that run stands may be a guess, but not that it stands in it.
        """
        found: dict[str, str] = {}
        for top in self.spans:
            missing = top.span.parent_span_id
            if not missing or missing in self.by_id or top is self.root:
                continue
            waiting = [top]
            while waiting:
                at = waiting.pop()
                found[at.id] = missing
                if at.id not in self.runs:
                    waiting.extend(self.children.get(at.id, ()))
        return found

    def run_of(self, one: Seen) -> str:
        """Return the run that a span belongs to: the nearest one above, or the trace's."""
        return next((self.runs[at.id] for at in (one, *self.above(one)) if at.id in self.runs), self.trace_id)

    def parent_run_of(self, one: Seen) -> str | None:
        """Return the run that a run is below; None for the trace's own."""
        if self.runs[one.id] == self.trace_id:
            return None
        return next((self.runs[at.id] for at in self.above(one) if at.id in self.runs), self.trace_id)

    def agent_of(self, one: Seen) -> str | None:
        """Return the agent at work in a span: that of the nearest agent span, else the one that the span names."""
        above = (at.agent for at in (one, *self.above(one)) if at.kind is SpanKind.AGENT and at.agent)
        return next(above, one.agent)

    def is_subagent(self, one: Seen) -> bool:
        """Say whether a span is the work of an agent below another agent."""
        return sum(at.kind is SpanKind.AGENT for at in (one, *self.above(one))) > 1

    # -- sessions and users ----------------------------------------------------------------------------------------

    @cached_property
    def session(self) -> str:
        """The session of spans that neither name one nor are below one that does."""
        named = self._first(one.session for one in self._root_first())
        return named or self.trace_id

    def session_of(self, one: Seen) -> str:
        """Return a span's session: its own, that of the nearest span above that names one, or the trace's."""
        return self._first(at.session for at in (one, *self.above(one))) or self.session

    @cached_property
    def user(self) -> str | None:
        """Whose trace it is."""
        return self._first(one.user for one in self._root_first())

    def _root_first(self) -> list[Seen]:
        return self.spans if self.root is None else [self.root, *self.spans]

    @staticmethod
    def _first(names: Iterable[str | None]) -> str | None:
        return next(filter(None, names), None)

    # -- requests to models ----------------------------------------------------------------------------------------

    @cached_property
    def requests(self) -> list[Seen]:
        """The spans that are one request to a model each.

        Spans above repeat the usage of those below, so only the lowest that tell of tokens count; a request that
        tells of none counts unless a request below it, or the span of kind LLM around it, stands for it.
        """
        return [one for one in self.spans if self._is_request(one)]

    @cached_property
    def _asking(self) -> set[str]:
        """Spans that have a request to a model below them."""
        return {at.id for one in self.spans if one.asks_a_model for at in self.above(one)}

    @cached_property
    def _using(self) -> set[str]:
        """Spans that have a span with usage below them."""
        return {at.id for one in self.spans if one.has_usage for at in self.above(one)}

    def _is_request(self, one: Seen) -> bool:
        if one.has_usage:
            return one.id not in self._using
        if not one.asks_a_model or one.id in self._asking:
            return False
        return not any(at.asks_a_model and at.has_usage for at in self.above(one))
