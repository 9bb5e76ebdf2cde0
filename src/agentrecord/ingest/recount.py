"""A second count of Claude Code transcripts, made on purpose without the importer, to check the importer by.

It holds whole files in memory and knows nothing but rows, keys and sums; what both counts agree on is
unlikely to be wrong in both. Figures are per file, with one set of names:

    json_objects                JSON objects, two on a line counted as two
    malformed_lines             lines that are not exactly one JSON value
    user_rows, assistant_rows   rows of that type, sub-agents' in-file rows included
    tool_use_blocks, tool_result_blocks, tool_errors
    api_calls                   distinct (message.id, requestId) with usage; the row with the most tokens counts
    input, cache_write, cache_write_1h, cache_read, output
    output_if_first_row_wins    what a reader would get that keeps the first row of a response
    subagent_calls_in_progress_rows, sub_input, sub_cache_write, sub_cache_write_1h, sub_cache_read, sub_output
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Figures = dict[str, int]
Call = dict[str, int]

TOKEN_FIELDS = ("input", "cache_write", "cache_write_1h", "cache_read", "output")
COLUMNS = (
    "json_objects",
    "malformed_lines",
    "user_rows",
    "assistant_rows",
    "tool_use_blocks",
    "tool_result_blocks",
    "tool_errors",
    "api_calls",
    *TOKEN_FIELDS,
    "output_if_first_row_wins",
    "subagent_calls_in_progress_rows",
    *(f"sub_{name}" for name in TOKEN_FIELDS),
)


def recount(path: Path) -> dict[str, Figures]:
    """Return the figures of each transcript at or below `path`, by its name relative to `path`."""
    if path.is_file():
        return {path.name: recount_file(path)}
    found = [file for file in path.rglob("*") if file.name.endswith((".jsonl", ".jsonl.gz"))]
    return {file.relative_to(path).as_posix(): recount_file(file) for file in sorted(found)}


def recount_file(path: Path) -> Figures:
    """Return the figures of one transcript."""
    figures = dict.fromkeys(COLUMNS, 0)
    calls: dict[tuple[str, str], list[Call]] = {}
    sub_calls: dict[tuple[str, str], list[Call]] = {}
    for row in _rows(path, figures):
        figures["json_objects"] += 1
        kind = row.get("type")
        if kind in ("user", "assistant"):
            figures[f"{kind}_rows"] += 1
            _count_blocks(row, figures)
        if kind == "assistant":
            _collect(row, calls)
        if kind == "progress" and row["data"].get("type") == "agent_progress":
            _collect(row["data"]["message"], sub_calls)
    figures["api_calls"] = len(calls)
    figures["subagent_calls_in_progress_rows"] = len(sub_calls)
    for responses, prefix in ((calls, ""), (sub_calls, "sub_")):
        for rows in responses.values():
            largest = max(rows, key=_total)
            for name in TOKEN_FIELDS:
                figures[prefix + name] += largest[name]
    figures["output_if_first_row_wins"] = sum(rows[0]["output"] for rows in calls.values())
    return figures


def compare(expected: Mapping[str, Mapping[str, int]], got: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return one sentence for each figure that differs; an empty list means that both counts agree."""
    differences = [f"{file}: only one of the two counts knows it" for file in sorted(expected.keys() ^ got.keys())]
    for file in sorted(expected.keys() & got.keys()):
        for name, wanted in expected[file].items():
            found = got[file].get(name)
            if found != wanted:
                differences.append(f"{file}: {name} is {found}, expected {wanted}")
    return differences


def total(figures: Mapping[str, Mapping[str, int]]) -> Figures:
    """Return the sums over all files."""
    sums: Counter[str] = Counter()
    for one in figures.values():
        sums.update(one)
    return {name: sums[name] for name in COLUMNS}


def _rows(path: Path, figures: Figures) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in content.decode("utf-8").split("\n"):
        rest, found = line.strip(), 0
        while rest:
            try:
                row, end = decoder.raw_decode(rest)
            except ValueError:
                found = 2
                break
            yield row
            rest, found = rest[end:].lstrip(), found + 1
        figures["malformed_lines"] += found > 1


def _count_blocks(row: dict[str, Any], figures: Figures) -> None:
    content = row["message"].get("content")
    for block in content if isinstance(content, list) else []:
        figures["tool_use_blocks"] += block["type"] == "tool_use"
        figures["tool_result_blocks"] += block["type"] == "tool_result"
        figures["tool_errors"] += block["type"] == "tool_result" and block.get("is_error") is True


def _collect(row: dict[str, Any], calls: dict[tuple[str, str], list[Call]]) -> None:
    message = row.get("message") or {}
    usage = message.get("usage")
    if usage and message.get("model") != "<synthetic>":
        key = (message.get("id") or row["uuid"], row.get("requestId") or "")
        calls.setdefault(key, []).append(_tokens(usage))


def _tokens(usage: dict[str, Any]) -> Call:
    return {
        "input": usage.get("input_tokens") or 0,
        "cache_write": usage.get("cache_creation_input_tokens") or 0,
        "cache_write_1h": (usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0,
        "cache_read": usage.get("cache_read_input_tokens") or 0,
        "output": usage.get("output_tokens") or 0,
    }


def _total(call: Call) -> int:
    return call["input"] + call["cache_write"] + call["cache_read"] + call["output"]
