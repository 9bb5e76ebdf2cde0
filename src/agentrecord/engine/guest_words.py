"""Which words a query of somebody else's may hold on PostgreSQL: the functions that only compute, and the tables.

Row-level security compares rows with settings of the transaction, and PostgreSQL lets every role change those with
`set_config(…)`, or by way of functions that run a text as SQL (`query_to_xml(…)`). So what may be called is listed
here, and nothing else is called. The text is split into words as PostgreSQL splits it; the few notations in which the
two could differ (escape strings, dollar quotes, Unicode escapes in names) are refused.
"""

import re
from collections.abc import Collection, Iterator

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|--[^\n\r]*)
    | (?P<comment>/\*)
    | (?P<refused>[eE]'|[uU]&"|\$)
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<word>[^\W\d][\w]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_FIRST = re.compile(r"(?:\s|--[^\n\r]*[\n\r]|\()*(select|with|values)\b", re.IGNORECASE)
_NOT_CALLED = frozenset(
    re.findall(
        r"\w+",
        """
    all and any array as asc between by case check cross cube desc distinct else end except exists filter from
    full group grouping having ilike in inner intersect is join lateral left like limit materialized not nulls
    offset on or order outer over partition range recursive right rollup row rows select sets similar some then
    to union using values when where window with within bigint bit char character date decimal float int integer
    interval numeric real smallint text time timestamp timestamptz uuid varchar
    """,
    )
)
_CALLABLE = frozenset(
    re.findall(
        r"\w+",
        """
    abs age array_agg array_length array_to_string avg bool_and bool_or btrim cardinality cast ceil ceiling
    char_length coalesce concat concat_ws corr count cume_dist date_part date_trunc dense_rank div every exp
    extract first_value floor generate_series greatest initcap json_agg json_array_elements
    json_array_elements_text json_array_length json_each json_each_text json_extract_path json_extract_path_text
    json_object_agg json_object_keys json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_agg
    jsonb_object_keys jsonb_pretty jsonb_typeof lag last_value lead least left length ln log lower ltrim
    make_date make_interval make_timestamp make_timestamptz max md5 min mod mode nth_value ntile nullif
    octet_length percent_rank percentile_cont percentile_disc position power rank regexp_match regexp_replace
    replace reverse right round row_number row_to_json rtrim sign split_part sqrt starts_with stddev stddev_pop
    stddev_samp string_agg string_to_array strpos substr substring sum timezone to_char to_date to_json to_jsonb
    to_timestamp trim trunc unnest upper var_pop var_samp variance width_bucket
    """,
    )
)
_HIDDEN = re.compile(r"pg_|information_schema$")


def reads_only(sql: str) -> bool:
    """Say whether a query begins as one that reads."""
    return _FIRST.match(_without_comment(sql)) is not None


def _without_comment(sql: str) -> str:
    """Return a query from its first word on: what stands before it may be a comment."""
    text = sql.lstrip()
    while text.startswith("/*") and (end := _comment_end(text, 0)) is not None:
        text = text[end:].lstrip()
    return text


def refusal(sql: str, tables: Collection[str], *, hidden: Collection[str] = ()) -> str | None:
    """Return why a query may not be run, None if it may.

    `tables` are those of ours that it may name, `hidden` are views that it may not.
    """
    words = list(_words(sql))
    for place, (kind, word) in enumerate(words):
        if kind == "refused":
            return f"{word} is not taken here; write texts in plain single quotes"
        if kind not in ("word", "quoted"):
            continue
        if _HIDDEN.match(word) or word in hidden:
            return f"{word} is not shown here"
        if word.startswith("ar_") and word not in tables:
            return f"there is no table {word} here that you may read"
        if words[place + 1 : place + 2] == [("other", "(")] and not _may_stand_before_a_bracket(words, place):
            return f"{word}(…) cannot be called here; functions that only compute can"
    return None


def _may_stand_before_a_bracket(words: list[tuple[str, str]], place: int) -> bool:
    kind, word = words[place]
    if word in _CALLABLE or (kind == "word" and word in _NOT_CALLED):
        return True
    # The name of a common table expression, with its columns.
    return place > 0 and words[place - 1] in (("word", "with"), ("word", "recursive"))


def _words(sql: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(sql):
        found = _TOKEN.match(sql, place)
        if found is None or found.lastgroup is None:
            raise AssertionError("unreachable: any character is a token")
        kind, place = found.lastgroup, found.end()
        if kind == "comment":
            end = _comment_end(sql, found.start())
            if end is None:
                return
            place = end
        elif kind == "quoted":
            yield kind, found[0][1:-1].replace('""', '"')
        elif kind == "word":
            yield kind, found[0].lower()
        elif kind != "blank":
            yield kind, found[0]


def _comment_end(sql: str, start: int) -> int | None:
    """Return where a comment ends, those within it included."""
    depth = 0
    for found in re.compile(r"/\*|\*/").finditer(sql, start):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return None
