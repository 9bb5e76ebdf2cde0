"""Search, settings and questions in SQL: as pages that need no script, over REST, and on the command line."""

import csv
import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result
from page_fixtures import NASTY, Filled, served, signed_in
from starlette.testclient import TestClient

from agentrecord.cli.main import program
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.store import Store

Site = tuple[TestClient, Filled]


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


def key_of(filled: Filled, role: Role, user: str | None = None) -> dict[str, str]:
    return {"authorization": f"Bearer {filled.store.keys.create('k', role=role, user=user).secret}"}


def test_everything_is_found_over_rest_with_the_page_that_shows_it(site: Site) -> None:
    client, filled = site
    for text, kind, path in (
        ("s-1", "session", f"/s/{filled.session}"), (str(filled.run), "run", f"/r/{filled.run}"),
        ("ana", "user", "/u/ana"), ("coder", "agent", "/agents/coder"), ("sett", "page", "/settings"),
        (str(filled.message), "message", f"/m/{filled.message}"),
        ("acme-local", "model", "/runs?q=model%3Aacme-local-70b"),
        (str(filled.call), "call", f"/r/{filled.run}?span={filled.call}#detail"),
    ):  # fmt: skip
        items = client.get("/api/find", params={"q": text}).json()["items"]
        assert (kind, path) in [(item["kind"], item["path"]) for item in items], text
        assert client.get(path.partition("#")[0]).status_code in (200, 303), path
    error = client.get("/api/find", params={"q": "GitErr"}).json()["items"][0]
    assert re.fullmatch(r"/errors/\w+", error["path"])
    assert client.get(error["path"]).status_code == 200
    assert client.get("/api/find").status_code == 422
    assert client.get("/api/find", params={"q": "x" * 301}).status_code == 422


def test_the_search_page_shows_what_the_palette_shows(site: Site) -> None:
    client, filled = site
    page = client.get("/search?q=ana").text
    assert '<a href="/u/ana">ana</a>' in page
    page = client.get("/search?q=broken").text
    assert f"#m-{filled.message}" in page
    assert "<mark>broken</mark>" in page
    page = client.get(f"/search?q={filled.message}").text
    assert f'href="/m/{filled.message}"' in page
    page = client.get("/search?q=***").text
    assert "No message was looked for: the text has no word to look for" in page
    assert client.get("/search?q=fix&page=0").status_code == 422


def test_settings_tell_administrators_alone_where_the_record_is_kept(site: Site) -> None:
    client, filled = site
    page = client.get("/settings").text
    for told in ("SQLite, in memory", "Run the checks", "ar_llm_calls", "how long content is kept cannot be set yet"):
        assert told in page
    assert "✓ ok" not in page
    assert "✓ ok" in client.get("/settings?check=yes").text
    client.cookies.clear()
    for role in (Role.READ, Role.WRITE):
        page = client.get("/settings", headers=key_of(filled, role)).text
        assert "Single keys" in page
        for hidden in ("in memory", "ar_llm_calls", "Run the checks", "memory:"):
            assert hidden not in page
    for wrong in ("/settings?check=no", "/settings?keys=odd"):
        assert client.get(wrong, headers=key_of(filled, Role.READ)).status_code == 422


def test_single_keys_are_switched_off_for_this_browser(site: Site) -> None:
    client, _ = site
    assert 'data-keys="on"' in client.get("/runs").text
    answer = client.get("/settings?keys=off")
    assert 'data-keys="off"' in answer.text
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert 'data-keys="off"' in client.get("/runs").text
    assert 'data-keys="on"' in client.get("/settings?keys=on").text
    assert 'data-keys="on"' in client.get("/runs").text


def test_times_are_shown_in_the_zone_that_was_chosen_and_told_to_programs_in_utc(site: Site) -> None:
    client, _ = site
    started = '<time datetime="2026-03-02T09:00:00+00:00" title="{}">'
    assert started.format("2026-03-02 09:00:00 UTC") in client.get("/s/s-1").text
    answer = client.get("/s/s-1?tz=Asia/Kolkata")
    assert started.format("2026-03-02 14:30:00 IST") in answer.text
    assert "Times in Asia/Kolkata · 2026-03-03 14:30:00 IST · days and ranges are UTC" in answer.text
    assert "httponly" in answer.headers["set-cookie"].lower()
    # The browser remembers it, for figures of days and for exports it changes nothing.
    assert started.format("2026-03-02 14:30:00 IST") in client.get("/s/s-1").text
    assert 'value="Asia/Kolkata"' in client.get("/settings").text
    assert "2026-03-02T09:00:00+00:00" in client.get("/sessions.csv?since=all").text
    assert started.format("2026-03-02 09:00:00 UTC") in client.get("/s/s-1?tz=UTC").text
    assert "Times in UTC" in client.get("/s/s-1").text
    # Summer is an hour on.
    assert "Times in America/St_Johns · 2026-03-03 05:30:00 NST" in client.get("/runs?tz=America/St_Johns").text


def test_a_time_zone_that_is_none_is_told_and_times_are_in_utc(site: Site) -> None:
    client, _ = site
    client.get("/runs?tz=Asia/Kolkata")
    for wrong in ("Nowhere/Else", "../../etc/passwd", "Europe", "/etc/localtime", "<b>x", "a\0b", "x" * 5000, "é"):
        answer = client.get("/runs", params={"tz": wrong})
        assert answer.status_code == 200
        assert "is no time zone that this computer knows" in answer.text
        assert "<b>x" not in answer.text
        assert "Times in UTC · " in answer.text
        assert "zone" not in answer.headers.get("set-cookie", "")
    assert "Times in Asia/Kolkata" in client.get("/runs").text


def sql_of_page(client: TestClient, path: str) -> tuple[str, str]:
    """Follow a page's link to SQL; return the question and the page that answers it."""
    found = re.findall(r'<a href="(/sql\?q=[^"]*)">view SQL</a>', client.get(path).text)
    assert len(found) == 1, path
    answer = client.get(html.unescape(found[0]))
    assert (answer.status_code, "✕" in answer.text.split("<main")[1].split("</main", maxsplit=1)[0]) == (200, False), (
        path
    )
    return parse_qs(urlsplit(html.unescape(found[0])).query)["q"][0], answer.text


def test_every_list_leads_to_the_question_in_sql_that_gives_it(site: Site) -> None:
    client, _ = site
    for path, shown in (
        ("/sessions?since=all", "s-2"), ("/runs?since=all", "r-1"), ("/agents?since=all", "coder"),
        ("/users?since=all", "ana"), ("/errors?since=all", "bad object 17"), ("/cost?since=all", "acme-local-70b"),
        ("/cost?since=all&by=user", "bob"), ("/cost?since=all&by=agent", "coder"), ("/cost?since=all&by=day", "20514"),
        ("/cost?since=all&by=session", "s-2"), ("/cost?since=all&by=directory", "/home/ana/work"),
        ("/cost?since=all&by=host", "Anthropic"), ("/cost?since=all&by=version", '<td class="n">3</td>'),
        ("/prices", "claude-opus-4-5"), ("/u/ana", "s-1"), ("/agents/coder?since=all", "r-1"), ("/s/s-1", "Please fix"),
    ):  # fmt: skip
        sql, answer = sql_of_page(client, path)
        assert shown in answer.split("<tbody>")[1], (path, sql)
    run = client.get("/api/runs?q=run:r-1").json()["items"][0]["id"]
    assert "claude-opus-4-5" in sql_of_page(client, f"/r/{run}")[1].split("<tbody>")[1]
    group = re.findall(r'href="(/errors/[0-9a-f]+)"', client.get("/errors?since=all").text)[0]
    assert "bad object 17" in sql_of_page(client, group)[1].split("<tbody>")[1]
    assert "view SQL" not in client.get("/cost?since=all&by=month").text


def test_a_link_to_sql_has_the_range_the_order_and_the_plain_part_of_the_filter(site: Site) -> None:
    client, _ = site
    sql, answer = sql_of_page(client, "/sessions?since=all&q=user:bob+-status:failed+cost:>0+talk*&sort=created_at")
    assert "AND u.external_id IN ('bob')" in sql
    assert "AND (s.status IS NULL OR s.status NOT IN ('failed'))" in sql
    assert sql.startswith("-- without cost:>0\n-- without talk*\nSELECT")
    assert sql.endswith("ORDER BY s.created_at\nLIMIT 50")
    assert re.findall(r'<tr><td[^>]*><a href="/s/s-2">([^<]*)</a></td>', answer) == ["s-2"]
    sql, answer = sql_of_page(client, "/runs?from=2026-03-02&to=2026-03-03")
    assert "r.started_at >= 1772409600000000" in sql
    assert "r.started_at < 1772" in sql
    sql, answer = sql_of_page(client, "/sessions?from=2026-03-01&to=2026-03-01&q=user:o'brien")
    assert "IN ('o''brien')" in sql
    assert "No rows." in answer
    for path, condition in (("/users?q=user:ana", "o.external_id IN ('ana')"), ("/agents?q=agent:coder", "o.agent_id"),
                            ("/errors?q=type:GitError", "g.error_type IN ('GitError')")):  # fmt: skip
        sql, answer = sql_of_page(client, f"{path}&since=all")
        assert condition in sql
        assert answer.count("<tr><td") == 1, path
    client.cookies.clear()
    reader = key_of(site[1], Role.READ)
    assert "view SQL" not in client.get("/sessions?since=all", headers=reader).text


def test_a_query_is_answered_on_the_page_as_csv_and_over_rest(site: Site) -> None:
    client, _ = site
    sql = "SELECT session_id, title, message_count FROM ar_sessions ORDER BY session_id"
    page = client.get("/sql", params={"q": sql})
    assert page.status_code == 200
    assert re.findall(r"<tr><td[^>]*><a[^>]*>([^<]*)</a></td>", page.text) == ["s-1", "s-1/a", "s-2"]
    assert "<summary><code>token_usage</code></summary>" in page.text
    rows = list(csv.reader(io.StringIO(client.get("/sql.csv", params={"q": sql}).text)))
    assert rows[0] == ["session_id", "title", "message_count"]
    assert [row[0] for row in rows[1:]] == ["s-1", "s-1/a", "s-2"]
    answer = client.post("/api/sql", json={"sql": sql, "limit": 2}, headers={"sec-fetch-site": "same-origin"}).json()
    assert [row[0] for row in answer["rows"]] == ["s-1", "s-1/a"]
    assert "2 rows" in answer["cut_because"]
    tables = client.get("/api/sql/tables").json()["items"]
    assert "ar_sessions" in [table["name"] for table in tables]


def test_a_query_that_is_refused_says_why_and_stays_in_its_field(site: Site) -> None:
    client, _ = site
    for sql in ("DELETE FROM ar_sessions", "SELECT secret_hash FROM ar_api_keys", "SELECT nothing FROM nowhere"):
        page = client.get("/sql", params={"q": sql})
        assert page.status_code == 422
        assert f">{sql}</textarea>" in page.text
        assert "✕ The query" in page.text
        assert client.get("/sql.csv", params={"q": sql}).status_code == 422
        asked = client.post("/api/sql", json={"sql": sql}, headers={"sec-fetch-site": "same-origin"})
        assert (asked.status_code, asked.json()["errors"][0]["field"]) == (422, "sql")


def test_what_a_query_gives_is_text_and_no_formula(site: Site) -> None:
    client, filled = site
    page = client.get("/sql", params={"q": "SELECT content FROM ar_messages"}).text
    assert "&lt;script&gt;alert(1)" in page
    assert NASTY not in page
    filled.store.sessions.create(NewSession(session_id="f", title="=HYPERLINK(1)"))
    text = client.get("/sql.csv", params={"q": "SELECT title FROM ar_sessions WHERE session_id = 'f'"}).text
    assert text.splitlines()[1] == "'=HYPERLINK(1)"


def test_a_wide_answer_to_sql_is_cut_on_the_page_and_whole_as_csv(site: Site) -> None:
    client, _ = site
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
    sql = numbers + "SELECT " + ", ".join(f"i AS c{column}" for column in range(100)) + " FROM n"
    page = client.get("/sql", params={"q": sql}).text
    assert page.count('<td class="n">') == 1500
    assert "Only the first 15 rows of so many columns are shown" in page
    assert len(client.get("/sql.csv", params={"q": sql}).text.splitlines()) == 101


def test_an_answer_to_sql_is_ordered_before_rows_are_left_out(site: Site) -> None:
    client, _ = site
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, 'x' FROM n; -- all"
    sql = sql.replace("; -- all", " -- all of them")
    first = [
        re.findall(r'<tr><td class="n">(\d+)</td>', client.get("/sql", params={"q": sql, "sort": sort}).text)[0]
        for sort in ("1", "-1")
    ]
    assert first == ["1", "900"]
    page = client.get("/sql", params={"q": sql, "sort": "-1"}).text
    assert "Only the first 200 rows are shown" in page
    assert "ordered by i before any row is left out" in page
    assert 'aria-sort="descending"' in page
    lines = client.get("/sql.csv", params={"q": sql, "sort": "-1"}).text.splitlines()
    assert (len(lines), lines[1], lines[-1]) == (901, "900,x", "1,x")
    for sort in ("0", "i", "--1", "1000", "1 DESC"):
        assert client.get("/sql", params={"q": sql, "sort": sort}).status_code == 422
    refused = client.get("/sql", params={"q": sql, "sort": "3"})
    assert (refused.status_code, "✕ The query" in refused.text) == (422, True)


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("SELECT r.run_id, r.id AS run_uuid, u.external_id AS user_name FROM ar_runs r, ar_users u LIMIT 1", 3),
        ("SELECT m.session_uuid, m.id AS message_uuid, s.session_id FROM ar_messages m, ar_sessions s LIMIT 1", 3),
        ("SELECT r.id FROM ar_runs r, ar_users u LIMIT 1", 0),
        ("SELECT id FROM ar_runs LIMIT 1", 1),
        ("SELECT id FROM ar_users LIMIT 1", 1),
        ("SELECT id, agent_id FROM ar_agents LIMIT 1", 2),
        ("SELECT id, fingerprint FROM ar_error_groups LIMIT 1", 1),
    ],
)
def test_what_an_answer_to_sql_names_is_a_link_to_its_page(site: Site, sql: str, count: int) -> None:
    client, _ = site
    found = re.findall(r'<td[^>]*><a href="([^"]*)">', client.get("/sql", params={"q": sql}).text)
    assert len(found) == count
    for path in found:
        assert client.get(html.unescape(path), follow_redirects=True).status_code == 200, path


def test_who_does_not_administer_may_not_ask_a_file_in_sql(site: Site) -> None:
    client, filled = site
    client.cookies.clear()
    for headers in (key_of(filled, Role.READ), key_of(filled, Role.WRITE), key_of(filled, Role.ADMIN, user="ana")):
        for path in ("/sql", "/sql?q=SELECT+1", "/sql.csv?q=SELECT+1", "/api/sql/tables"):
            refused = client.get(path, headers=headers)
            assert refused.status_code == 403, path
            if path == "/sql":
                assert "<h1>This is not for your role</h1>" in refused.text
                assert "<p>Queries in SQL are for administrators who see the whole project.</p>" in refused.text
                assert "Without filters" not in refused.text
        assert client.post("/api/sql", json={"sql": "SELECT 1"}, headers=headers).status_code == 403


@pytest.fixture
def record(tmp_path: Path) -> str:
    path = str(tmp_path / "record.db")
    with Store(path) as store:
        for name in ("one", "two", "three"):
            store.sessions.create(NewSession(session_id=name, title=f"Title {name}"))
    return path


def asked(record: str, *words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(program, ["--db", record, "sql", *words], input=given)


def test_the_command_line_asks_in_sql(record: str) -> None:
    sql = "SELECT session_id, title, 7 AS n FROM ar_sessions ORDER BY session_id"
    told = asked(record, sql)
    assert (told.exit_code, told.stdout.splitlines()[:2]) == (0, ["session_id\ttitle\tn", "one\tTitle one\t7"])
    lines = asked(record, sql, "--jsonl").stdout.splitlines()
    assert json.loads(lines[2]) == {"session_id": "two", "title": "Title two", "n": 7}
    whole = json.loads(asked(record, sql, "--json").stdout)
    assert (whole["columns"], len(whole["rows"])) == (["session_id", "title", "n"], 3)
    assert asked(record, "--csv", given=sql).stdout.splitlines()[0] == "session_id,title,n"
    twice = json.loads(asked(record, "SELECT 1 AS a, 2 AS a", "--jsonl").stdout)
    assert twice == {"a:1": 1, "a:2": 2}
    cut = asked(record, sql, "--limit", "2")
    assert len(cut.stdout.splitlines()) == 3
    assert "only the first 2 rows" in cut.stderr


def test_the_command_line_refuses_what_does_not_read(record: str) -> None:
    for sql in ("DELETE FROM ar_sessions", "ATTACH DATABASE '/tmp/x' AS x", "SELECT * FROM ar_accounts", "SELEC"):
        told = asked(record, sql)
        assert (told.exit_code, told.stdout) == (1, "")
        assert told.stderr.startswith("error: sql: ")
    assert asked(record, "SELECT 1 WHERE 1 = 0", "--fail-if-empty").exit_code == 3
    with Store(record) as store:
        assert len(store.sessions.list()) == 3
