"""Reading JSON lines as they are really found."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrecord.ingest.facts import Unreadable
from agentrecord.ingest.lines import MAX_LINE_BYTES, JsonLines


class Row(msgspec.Struct):
    """A row as a source declares it: one field it wants, the rest skipped."""

    a: int | None = None
    text: str | None = None


def rows_of(path: Path, content: bytes) -> list[Any]:
    path.write_bytes(content)
    return [row for _, row in JsonLines(path, Any).read()]


def everything(lines: JsonLines[Any]) -> list[Any]:
    return list(lines.read())


def good(found: list[Any]) -> list[Any]:
    return [row for row in found if not isinstance(row, Unreadable)]


def bad(found: list[Any]) -> list[Unreadable]:
    return [row for row in found if isinstance(row, Unreadable)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "rows.jsonl"


def test_rows_come_with_their_line_numbers_and_blank_lines_count(path: Path) -> None:
    path.write_bytes(b'{"a":1}\n\n  \r\n{"a":2}\r\n')
    lines = JsonLines(path, Row)
    assert [(number, row.a) for number, row in lines.read() if isinstance(row, Row)] == [(1, 1), (4, 2)]
    assert lines.position == path.stat().st_size
    assert lines.line == 4


def test_a_byte_order_mark_is_no_part_of_the_first_row(path: Path) -> None:
    assert rows_of(path, b'\xef\xbb\xbf{"a":1}\n') == [{"a": 1}]


def test_a_grown_file_yields_only_what_is_new(path: Path) -> None:
    path.write_bytes(b'{"a":1}\n')
    lines = JsonLines(path, Any)
    first = everything(lines)
    with path.open("ab") as file:
        file.write(b'{"a":2}\n')
    assert first == [(1, {"a": 1})]
    assert everything(lines) == [(2, {"a": 2})]
    assert everything(lines) == []


def test_an_unfinished_last_line_waits_until_it_is_finished(path: Path) -> None:
    path.write_bytes(b'{"a":1}\n{"a":')
    lines = JsonLines(path, Any)
    assert everything(lines) == [(1, {"a": 1})]
    rest = lines.rest()
    assert rest is not None
    assert rest.line == 2
    assert "not finished" in rest.reason
    assert lines.position == 8
    with path.open("ab") as file:
        file.write(b"2}\n")
    assert everything(lines) == [(2, {"a": 2})]
    assert lines.rest() is None


def test_a_complete_last_line_needs_no_newline_and_keeps_its_number_when_it_gets_one(path: Path) -> None:
    path.write_bytes(b'{"a":1}\n{"a":2}')
    lines = JsonLines(path, Any)
    assert everything(lines) == [(1, {"a": 1}), (2, {"a": 2})]
    with path.open("ab") as file:
        file.write(b'\n{"a":3}\n')
    assert everything(lines) == [(3, {"a": 3})]


def test_a_file_that_shrank_is_read_from_its_start(path: Path) -> None:
    path.write_bytes(b'{"a":1}\n{"a":2}\n')
    lines = JsonLines(path, Any)
    everything(lines)
    path.write_bytes(b'{"a":7}\n')
    assert everything(lines) == [(1, {"a": 7})]


def test_two_objects_on_one_line_are_two_rows(path: Path) -> None:
    path.write_bytes(b'{"a":1}{"a":2} {"a":3}\n')
    assert everything(JsonLines(path, Any)) == [(1, {"a": 1}), (1, {"a": 2}), (1, {"a": 3})]


def test_a_row_glued_to_a_truncated_one_is_saved(path: Path) -> None:
    found = rows_of(path, b'{"type":"user","message":{"role":"us{"a":2}\n{"a":3}\n')
    assert good(found) == [{"a": 2}, {"a": 3}]
    [lost] = bad(found)
    assert lost.line == 1
    assert "not JSON" in lost.reason
    assert lost.excerpt.startswith('{"type":"user"')
    assert not lost.was_kept


def test_an_object_within_a_truncated_row_is_not_mistaken_for_a_row(path: Path) -> None:
    found = rows_of(path, b'{"type":"user","message":{"role":"user"}\n{"a":1}\n')
    assert good(found) == [{"a": 1}]
    assert len(bad(found)) == 1


@pytest.mark.parametrize("line", [b'warning {"a":1}', b'{"a":1} trailing'])
def test_text_around_a_row_is_reported_and_the_row_kept(path: Path, line: bytes) -> None:
    found = rows_of(path, line + b"\n")
    assert good(found) == [{"a": 1}]
    assert len(bad(found)) == 1


@pytest.mark.parametrize("line", [b"42", b'"text"', b"[1]", b"null"])
def test_a_line_that_is_no_object_is_no_row(path: Path, line: bytes) -> None:
    found = rows_of(path, line + b'\n{"a":1}\n')
    assert good(found) == [{"a": 1}]
    assert "object" in bad(found)[0].reason


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_numbers_that_json_does_not_have_are_refused(path: Path, number: bytes) -> None:
    found = rows_of(path, b'{"a":' + number + b'}\n{"a":1}\n')
    assert good(found) == [{"a": 1}]
    assert len(bad(found)) == 1


def test_a_value_of_the_wrong_type_is_named_by_its_field(path: Path) -> None:
    path.write_bytes(b'{"a":"x"}\n')
    [(_, row)] = JsonLines(path, Row).read()
    assert isinstance(row, Unreadable)
    assert "$.a" in row.reason


@pytest.mark.parametrize("escape", [b"\\u0000", b"\\ud800", b"\\uDFFF"])
def test_characters_that_cannot_be_stored_are_replaced_and_the_row_kept(path: Path, escape: bytes) -> None:
    found = rows_of(path, b'{"text":"x' + escape + b'y"}\n')
    assert found[0] == {"text": "x\ufffdy"}
    assert found[1].was_kept
    assert "U+FFFD" in found[1].reason


def test_escapes_that_only_look_like_such_characters_are_left_alone(path: Path) -> None:
    texts = ["\\u0000", "\U0001f600", "\\\\u0000 \\ud800"]
    content = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)
    assert rows_of(path, content) == [{"text": text} for text in texts]


@pytest.mark.parametrize("field", [b"text", b"other"])
def test_invalid_utf8_is_replaced_and_told_of_wherever_it_is(path: Path, field: bytes) -> None:
    path.write_bytes(b'{"' + field + b'":"\xff","a":1}\n')
    row, note = (row for _, row in JsonLines(path, Row).read())
    assert isinstance(row, Row)
    assert row.a == 1
    assert isinstance(note, Unreadable)
    assert note.was_kept
    assert "UTF-8" in note.reason


def test_a_nul_byte_within_a_later_line_spoils_that_text_only(path: Path) -> None:
    filler = b'{"a":0}\n' * 2000
    found = rows_of(path, filler + b'{"text":"x\0y"}\n{"a":1}\n')
    assert good(found)[2000:] == [{"text": "x\ufffdy"}, {"a": 1}]
    assert [note.was_kept for note in bad(found)] == [True]


def test_a_binary_file_is_told_of_once(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0\x10\0\x01\x01")
    lines = JsonLines(path, Any)
    [(_, row)] = lines.read()
    assert isinstance(row, Unreadable)
    assert "not a text file" in row.reason
    assert everything(lines) == []


def test_an_empty_file_has_no_rows(path: Path) -> None:
    path.write_bytes(b"")
    lines = JsonLines(path, Any)
    assert everything(lines) == []
    assert lines.rest() is None


def test_a_file_that_is_gone_is_told_of(path: Path) -> None:
    [(_, row)] = JsonLines(path, Any).read()
    assert isinstance(row, Unreadable)
    assert "No such file" in row.reason


def test_a_line_of_fifty_megabytes_is_a_row(path: Path) -> None:
    size = 50 * 1024 * 1024
    path.write_bytes(b'{"a":1,"text":"' + b"x" * size + b'"}\n{"a":2}\n')
    found = [row for _, row in JsonLines(path, Row).read() if isinstance(row, Row)]
    assert [row.a for row in found] == [1, 2]
    assert len(found[0].text or "") == size


def test_a_line_beyond_the_limit_is_left_out_and_the_next_one_read(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b'{"text":"')
        file.write(b"x" * (MAX_LINE_BYTES + 10))
        file.write(b'"}\n{"a":2}\n')
    lines = JsonLines(path, Any)
    (first, told), (second, row) = everything(lines)
    assert (first, second) == (1, 2)
    assert isinstance(told, Unreadable)
    assert "longer than 64 MiB" in told.reason
    assert row == {"a": 2}
    assert lines.position == path.stat().st_size


def test_deep_nesting_is_refused_without_a_crash(path: Path) -> None:
    found = rows_of(path, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b'}\n{"a":1}\n')
    assert good(found) == [{"a": 1}]
    assert "deep" in bad(found)[0].reason


def test_an_integer_of_thousands_of_digits_is_refused(path: Path) -> None:
    found = rows_of(path, b'{"a":' + b"9" * 5000 + b'}\n{"a":1}\n')
    assert good(found) == [{"a": 1}]
    assert len(bad(found)) == 1


def test_a_compressed_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    content = b'{"a":1}\n{"a":2}\n'
    path.write_bytes(gzip.compress(content))
    lines = JsonLines(path, Any)
    assert everything(lines) == [(1, {"a": 1}), (2, {"a": 2})]
    assert lines.position == len(content)
    assert everything(lines) == []


@pytest.mark.parametrize("content", [gzip.compress(b'{"a":1}\n' * 100, mtime=0)[:-12], b'{"a":1}\n'])
def test_a_damaged_compressed_file_is_told_of(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(content)
    told = bad([row for _, row in JsonLines(path, Any).read()])
    assert "cannot be read any further" in told[0].reason


@given(rows=st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=8))
def test_what_json_writes_is_read_back_but_for_characters_that_cannot_be_stored(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    found = rows_of(path, b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    assert len(good(found)) == len(rows)
    for row, original in zip(good(found), rows, strict=True):
        if not any("\0" in text for pair in original.items() for text in pair):
            assert row == original


@given(noise=st.binary(max_size=300))
def test_no_bytes_make_the_reading_fail_or_lose_the_row_after_them(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    found = rows_of(path, noise + b'\n{"last":true}\n')
    assert {"last": True} in found or "not a text file" in found[0].reason
