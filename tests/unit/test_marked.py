"""Markdown that others wrote: it is formatted, and nothing of it acts, leads astray or takes for ever."""

import re

import pytest

from agentrecord.dashboard.marked import MOST_CHARS, MOST_ON_A_PAGE, Marker, marked, text_of


def shown(text: str) -> str:
    found = marked(text)
    assert found is not None
    return " ".join(str(found).split())


def test_headings_lists_code_and_tables_are_formatted_and_know_their_direction() -> None:
    assert shown("# One\n\nTwo *three* **four** `five`") == (
        '<h3 class="m1" dir="auto">One</h3> <p dir="auto">Two <em>three</em> <strong>four</strong> '
        "<code>five</code></p>"
    )
    assert shown("1. a\n2. b\n   - c") == "<ol> <li>a</li> <li>b <ul> <li>c</li> </ul> </li> </ol>"
    assert shown("3. a").startswith('<ol start="3">')
    assert shown("```html\n<b>&amp;\n```") == '<pre tabindex="0" dir="ltr">&lt;b&gt;&amp;amp; </pre>'
    table = shown("| a | b |\n|:--|--:|\n| 1 | 2 |")
    assert '<th scope="col">a</th> <th scope="col" class="n">b</th>' in table
    assert "style" not in table
    assert shown("one\ntwo") == '<p dir="auto">one<br /> two</p>'


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script> *x*", "*<img src=x onerror=alert(1)>*", "- <a href='//evil.example'>x</a>",
        "<!-- --> *a*", "&lt;script&gt;alert(1)&lt;/script&gt; *a*", "`</code><script>`", "# <svg onload=alert(1)>",
        "| <style>a | b |\n|-|-|\n| <b> | <i> |", '```"><script>\nx\n```', '[x](https://a.b "\\"><script>")',
        "![<script>](https://a.b)", "![<script>](data:image/png;base64,AAAA)",
    ],
)  # fmt: skip
def test_markup_of_others_stays_text(text: str) -> None:
    found = re.sub(r"</?(p|em|h3|ul|li|code|pre|div|table|thead|tbody|tr|th|td|br|a|details|summary|img)\b[^<>]*>", "",
                   shown(text))  # fmt: skip
    assert "<" not in found
    for tag in re.findall(r"<[^>]*>", shown(text)):
        assert re.search(r"\s(on\w+|style|srcset|title)\s*=", tag) is None, tag


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "//evil.example/x", "/sign-out", "#main",
     "vbscript:x", "file:///etc/passwd", "java&#10;script:alert(1)", "https:///x"],
)  # fmt: skip
def test_an_address_that_leads_neither_to_the_web_nor_to_a_mailbox_is_no_link(address: str) -> None:
    for text in (f"[x]({address})", f"![x]({address})", f"[x]: {address}\n\n[x]"):
        found = marked(text)
        assert found is not None
        assert "href" not in found
        assert "src" not in re.sub(r"&#?\w+;", "", re.sub(r">[^<]*<", "><", found))


def test_links_tell_nobody_where_they_are_from_and_bare_addresses_are_links() -> None:
    rel = 'rel="noopener noreferrer nofollow"'
    assert shown("[x](https://a.b/c?d=1&e=2)") == f'<p dir="auto"><a href="https://a.b/c?d=1&amp;e=2" {rel}>x</a></p>'
    assert shown("see https://a.b/c, or not") == (
        f'<p dir="auto">see <a href="https://a.b/c" {rel}>https://a.b/c</a>, or not</p>'
    )
    assert shown("[https://good.example](https://a.b)").count("<a ") == 1
    assert f'<a href="mailto:a@b.c" {rel}>' in shown("[write](mailto:a@b.c)")


def test_a_picture_is_a_link_and_one_that_brings_its_data_is_folded() -> None:
    assert 'href="https://a.b/c.png"' in shown("![chart](https://a.b/c.png)")
    assert "<img" not in shown("![chart](https://a.b/c.png)")
    inline = shown("see ![chart](data:image/png;base64,AAAA) here")
    assert inline.startswith('<p dir="auto">see [image: chart, below] here</p>')
    assert '<details class="picture"><summary>Image: chart</summary><img src="data:image/png;base64,AAAA"' in inline
    for odd in ("data:image/svg+xml;base64,AAAA", "data:image/png,AAAA"):
        assert "<img" not in shown(f"![x]({odd})")
    assert "<img" not in shown(f"![x](data:image/png;base64,{'A' * 64_001})")


def test_a_text_without_markdown_or_of_great_length_is_left_as_it_is_and_so_is_what_a_page_has_too_much_of() -> None:
    mark = Marker()
    assert mark("Nothing here.\n\nReally: nothing, (not) even 1.5!") is None
    assert mark("*a* " + "b" * MOST_CHARS) is None
    assert Marker(is_raw=True)("*a*") is None
    taken = [mark("*a* " + "b" * 49_996) is not None for _ in range(MOST_ON_A_PAGE // 50_000 + 1)]
    assert taken == [*[True] * (len(taken) - 1), False]


@pytest.mark.parametrize(
    "text",
    ["[", "![", "*a_ ", "`", "> ", "[a](", "**a", "*_", "<", "&", "- ", "https://", "~~", "![a](data:image/png;base64,",
     "a|b\n-|-\n" + "a|b\n" * 15_000, "|".join("a" * 900) + "\n" + "|".join(["-"] * 900) + "\n" + "|\n" * 25_000,
     "\n".join(" " * (n % 90) + "- a" for n in range(1_500))],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_no_text_takes_for_ever_or_grows_beyond_measure(text: str) -> None:
    found = marked((text * (MOST_CHARS // len(text) + 1))[:MOST_CHARS])
    assert found is None or len(found) < 10 * MOST_CHARS


def test_how_texts_are_shown_is_what_is_asked_for_or_was_before() -> None:
    assert text_of({}, {}) == "marked"
    assert text_of({"text": "raw"}, {}) == "raw"
    assert text_of({}, {"agentrecord-text": "raw"}) == "raw"
    assert text_of({"text": "marked"}, {"agentrecord-text": "raw"}) == "marked"
    assert text_of({"text": "<b>"}, {}) == "marked"
