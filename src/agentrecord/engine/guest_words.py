"""Which words a query of somebody else's may hold on PostgreSQL: the functions that only compute, and the tables.

Row-level security compares rows with settings of the transaction, and PostgreSQL lets every role change those with
`set_config(…)`, or by way of functions that run a text as SQL (`query_to_xml(…)`). So what may be called is listed
here, and nothing else is called. Nor is what PostgreSQL cannot be stopped in: it never looks at `statement_timeout`
while it searches a text or a JSON value, which can take as long as the product of two lengths. The text is split into
words as PostgreSQL splits it; the few notations in which the two could differ (escape strings, dollar quotes, Unicode
escapes in names) are refused.
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
        abs age array_agg array_length array_to_string avg bool_and bool_or cardinality cast ceil ceiling
        char_length coalesce concat concat_ws corr count cume_dist date_part date_trunc dense_rank div every exp
        extract first_value floor generate_series greatest initcap json_agg json_array_elements
        json_array_elements_text json_array_length json_each json_each_text json_extract_path json_extract_path_text
        json_object_agg json_object_keys json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text
        jsonb_array_length jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_agg
        jsonb_object_keys jsonb_pretty jsonb_typeof lag last_value lead least left length ln log lower make_date
        make_interval make_timestamp make_timestamptz max md5 min mod mode nth_value ntile nullif octet_length
        percent_rank percentile_cont percentile_disc power rank regexp_match regexp_replace reverse right round
        row_number row_to_json sign sqrt starts_with stddev stddev_pop stddev_samp string_agg substr substring sum
        timezone to_char to_date to_json to_jsonb to_timestamp trunc unnest upper var_pop var_samp variance
        width_bucket
        """,
    )
)
_HIDDEN = re.compile(r"pg_|information_schema$")
_UNSTOPPABLE = ("@", "~~", "?|", "?&")
_LONGEST_PATTERN = 200


def reads_only(sql: str) -> bool:
    """Say whether a query begins as one that reads."""
    return _FIRST.match(_without_comment(sql)) is not None


def _without_comment(sql: str) -> str:
    """Return a query from its first word on: what stands before it may be a comment."""
    text = sql.lstrip()
    while text.startswith("/*") and (end := _comment_end(text, 0)) is not None:
        text = text[end:].lstrip()
    return text


def refusal(
    sql: str, tables: Collection[str], *, hidden: Collection[str] = (), foreign: Collection[str] = ()
) -> str | None:
    """Return why a query may not be run, None if it may.

    `tables` are those of ours that it may name, `hidden` are views that it may not, `foreign` are schemas that others
    keep in the same database.
    """
    words = list(_words(sql))
    for place, (kind, word) in enumerate(words):
        following = words[place + 1 : place + 2]
        if kind == "refused":
            return f"{word} is not taken here; write texts in plain single quotes"
        unstoppable = _unstoppable(words, place)
        if unstoppable is not None:
            return unstoppable
        if kind not in ("word", "quoted"):
            continue
        if _HIDDEN.match(word) or word in hidden:
            return f"{word} is not shown here"
        if word.startswith("ar_") and word not in tables:
            return f"there is no table {word} here that you may read"
        if word in foreign and following == [("other", ".")]:
            return f"{word} is not shown here"
        if following == [("other", "(")] and not _may_stand_before_a_bracket(words, place):
            return f"{word}(…) cannot be called here; functions that only compute can"
    return None


def _unstoppable(words: list[tuple[str, str]], place: int) -> str | None:
    """Return why an operator cannot be taken: nothing would end it."""
    (kind, word), following = words[place], words[place + 1 : place + 3]
    if kind == "other" and (word + "".join(text for _, text in following[:1])).startswith(_UNSTOPPABLE):
        return "operators with @, ~~, ?| and ?& are not taken here; use LIKE, ~ or ->>"
    if kind != "word" or word not in ("like", "ilike"):
        return None
    pattern, after = [*following, ("", ""), ("", "")][:2]
    is_short = pattern[0] == "text" and len(pattern[1]) <= _LONGEST_PATTERN
    if is_short and after[0] != "text" and after != ("other", "|"):
        return None
    return f"{word.upper()} takes one text of at most {_LONGEST_PATTERN} characters here; use ~ for other patterns"


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
