"""Whatever is written into an address, a page or an answer says what is wrong with it: none breaks."""

import random
from collections.abc import Iterator

import pytest
from page_fixtures import HOME, SECRET, TOKEN, FixedClock, fill, signed_in
from starlette.testclient import TestClient

from agentrecord.server.app import IdentitySettings, build_app
from agentrecord.store import AsyncStore, Store
from agentrecord.store.words import AGENT_WORDS, GROUP_WORDS, RUN_WORDS, SESSION_WORDS, USER_WORDS, Words
from counts import count

LISTS = {
    "/runs": RUN_WORDS, "/sessions": SESSION_WORDS, "/agents": AGENT_WORDS, "/users": USER_WORDS,
    "/errors": GROUP_WORDS,
}  # fmt: skip
VALUES = (
    "x", "", "*", '""', ">5", "<=2.5", "1..", "..9", "5..1", "2026-01-31", ">=2026-01-31T10:00+02:00", "1h", "3k", "$3",
    "-1", "é\u202e", "\0", "'; drop", "%", "\\", "a,b,,c", "(", "9" * 20, "1e400", "NaN", "٣", "\ud7ff",
)  # fmt: skip
RANGES = ("all", "all", "7d", "1m", "99999w", "0d", "５d", "2026")
ENDS = ("2026-01-01", "2026-03-02", "0001-01-01", "9999-12-31", "x", "2026-02-30")
OF_LISTS = {
    "sort": ("-cost", "started_at", "zz"), "after": ("abc", "W10="), "cols": ("cost,user", "user", "zz"),
    "tz": ("Asia/Kolkata", "zz"),
}  # fmt: skip
OTHERS: dict[str, dict[str, tuple[str, ...]]] = {
    "/": {}, "/cost": {"by": ("tool", "version", "hour", "zz"), "split": ("user", "tool")},
    "/cost.json": {"by": ("model", "session", "zz")}, "/agents/coder": {}, "/u/ana": {"tab": ("cost", "errors", "zz")},
    "/s/s-1": {"tab": ("json", "runs", "zz"), "from": ("0", "-1", "9" * 20)},
    "/r/r-1": {"span": ("zz",), "t0": ("-5", "0", "x"), "t1": ("1", "x"), "spans": ("kind:tool", "nope:1", "cost:>")},
    "/search": {"q": VALUES, "page": ("0", "2", "9" * 20)}, "/sql": {"q": ("SELECT 1", "SELEC", "\0")},
    "/api/tool-calls": {"limit": ("1", "0", "x"), "status": ("error", "zz")}, "/api/usage": {"by": ("day", "zz")},
}  # fmt: skip
WITHOUT_RANGE = ("/s/s-1", "/r/r-1", "/search", "/sql")


@pytest.fixture
def client() -> Iterator[TestClient]:
    store = AsyncStore("memory:", clock=FixedClock())
    fill(Store(engine=store.engine))
    identity = IdentitySettings(requests_per_minute=0)
    app = build_app(store, secret=SECRET, sign_in_token=TOKEN, identity=identity)
    with TestClient(app, base_url=HOME, follow_redirects=False, raise_server_exceptions=False) as found:
        yield signed_in(found)
    store.close()


def asked(chance: random.Random) -> tuple[str, dict[str, str]]:
    """Return an address and what it asks, right and wrong."""
    if chance.random() < 0.3:
        path = chance.choice(list(OTHERS))
        more, query = OTHERS[path], {}
    else:
        kind = chance.choice(list(LISTS))
        api = "/api/errors/groups" if kind == "/errors" else f"/api{kind}"
        path = chance.choice((kind, kind, f"{kind}.json", f"{kind}.csv", api, f"{api}/facets"))
        more, query = {} if path.startswith("/api") else OF_LISTS, filter_of(LISTS[kind], chance)
    if path not in WITHOUT_RANGE and not path.startswith("/api"):
        ends = {"from": chance.choice(ENDS), "to": chance.choice(ENDS)}
        query |= ends if chance.random() < 0.4 else {"since": chance.choice(RANGES)}
    for name in chance.sample(list(more), chance.randint(0, min(1, len(more)))):
        query[name] = chance.choice(more[name])
    return path, query


def filter_of(words: Words, chance: random.Random) -> dict[str, str]:
    """Return a filter of a list, if any."""
    terms = []
    for _ in range(chance.randint(0, 2)):
        word = chance.choice([*words.known, *words.known, "nope", ""])
        choices = words.known[word].choices if word in words.known else ()
        value = chance.choice(choices or VALUES)
        terms.append(chance.choice(("", "", "-")) + (f"{word}:" if word else "") + value)
    return {"q": " ".join(terms)} if terms else {}


def test_no_address_breaks_a_page_or_the_api(client: TestClient) -> None:
    chance = random.Random(20260303)
    answers: dict[int, int] = {}
    for _ in range(count(250, 20_000)):
        path, query = asked(chance)
        status = client.get(path, params=query).status_code
        assert status < 500, (status, path, query)
        answers[status] = answers.get(status, 0) + 1
    assert {200, 422} <= answers.keys()
    assert min(answers[200], answers[422]) > 50, answers
