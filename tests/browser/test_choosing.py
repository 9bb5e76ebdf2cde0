"""The choice of a project in a real browser: pages, keys, the palette and live signals stay in what a tab shows."""

from urllib.parse import parse_qs, urlsplit

from everything import axe_violations
from playwright.sync_api import expect
from sites import Open, Serve

from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.session import NewSession


def test_each_tab_stays_in_the_project_that_it_shows(serve: Serve, open_tab: Open) -> None:
    site = serve()
    for name in ("Ärger & Söhne – Kundendienst im Süden", "default"):
        store = site.store.scoped(project=name)
        session = store.sessions.create(NewSession(session_id=f"talk in {name}", title=f"Talk in {name}")).id
        store.messages.append(session, [NewMessage(role=MessageRole.USER, content="a marmot whistles")])
    tab = open_tab(site)
    page = tab.open("/sessions?since=all")
    page.locator("#project").select_option(label="Ärger & Söhne – Kundendienst im Süden")
    page.locator("form.pick button").click()
    expect(page.locator("main tbody")).to_contain_text("Talk in Ärger")
    assert axe_violations(page) == []
    for width in (390, 640, 900, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    # Another tab of the same browser chooses the other project; this one goes on where it was.
    other = page.context.new_page()
    other.goto(f"{site.url}/sessions?since=all&project=default")
    expect(other.locator("main tbody")).to_contain_text("Talk in default")
    page.keyboard.press("g")
    page.keyboard.press("u")
    page.wait_for_url("**/users?project=*")
    page.keyboard.press("/")
    page.keyboard.type("marmot")
    expect(page.locator("#palette-list [role=option]")).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url("**/s/**")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Talk in Ärger")
    assert parse_qs(urlsplit(page.url).query)["project"] == ["Ärger & Söhne – Kundendienst im Süden"]
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url("**/sessions?project=*")
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Live")).to_contain_text("◉")
    store = site.store.scoped(project="Ärger & Söhne – Kundendienst im Süden")
    store.sessions.create(NewSession(session_id="new", title="Come in meanwhile"))
    expect(page.locator("main tbody")).to_contain_text("Come in meanwhile")
    page.reload()
    expect(page.locator("main tbody")).to_contain_text("Talk in Ärger")
