"""The filter of a list in a real browser: words and values complete themselves, by keyboard alone."""

from playwright.sync_api import expect
from sites import Open, Serve

from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun


def test_words_and_values_complete_themselves_and_the_link_can_be_fixed(serve: Serve, open_tab: Open) -> None:
    site = serve()
    for number in range(3):
        run = site.store.runs.start(NewRun(run_id=f"r-{number}", agent_id="coder"), user=f"Ana {number}").id
        site.store.llm_calls.record(NewLLMCall(model=f"model-{number}", run_uuid=run))
    tab = open_tab(site)
    tab.open("/runs?sort=cost")
    page, box, options = tab.page, tab.page.get_by_role("combobox", name="Filter"), tab.page.get_by_role("option")
    box.press_sequentially("mod")
    expect(options).to_have_count(1)
    expect(options.first).to_contain_text("A model that was called in it")
    box.press("ArrowDown")
    box.press("Enter")
    expect(options).to_have_count(3)
    box.press("ArrowDown")
    box.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", "filter-option-1")
    box.press("Enter")
    expect(box).to_have_value("model:model-1 ")
    box.press_sequentially("-user:ana")
    expect(options).to_have_count(3)
    expect(options.first).to_have_text('"Ana 0"')
    box.press("Escape")
    expect(options).to_have_count(0)
    box.press("Backspace")
    expect(options).to_have_count(3)
    options.first.click()
    expect(box).to_have_value('model:model-1 -user:"Ana 0" ')
    box.press("Enter")
    page.wait_for_url("**/runs?q=*")
    assert "sort=cost" in page.url
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    page.get_by_role("link", name='Drop -user:"Ana 0"').click()
    expect(box).to_have_value("model:model-1")
    for path, typed, offered in (("/agents", "user:", 3), ("/users", "model:", 3), ("/errors", "typ", 1)):
        tab.open(path)
        box.press_sequentially(typed)
        expect(options).to_have_count(offered)
