"""Signing in, and looking after people and keys, in a real browser: with and without scripts, wide and narrow."""

import pytest
from playwright.sync_api import expect
from sites import Open, Serve

from agentrecord.records.scope import Role
from agentrecord.server.passwords import hashed

PASSWORD = "correct horse battery"


@pytest.mark.parametrize("has_scripts", [True, False])
def test_an_administrator_signs_in_makes_a_key_and_an_account_and_signs_out(
    serve: Serve, open_tab: Open, has_scripts: bool
) -> None:
    site = serve()
    site.store.accounts.create("root@example.org", role=Role.ADMIN, password_hash=hashed(PASSWORD))
    tab = open_tab(site, java_script_enabled=has_scripts)
    # A page that is asked for by nobody answers 401, which the browser notes as a failure.
    tab.may_fail = True
    tab.page.context.clear_cookies()
    page = tab.open("/settings/keys")
    page.get_by_label("E-mail").fill("root@example.org")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("status")).to_have_text("The e-mail or the password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{site.url}/settings/keys")
    page.get_by_label("Name").fill("nightly")
    page.get_by_role("button", name="Create key").click()
    secret = page.locator(".made code").inner_text()
    assert site.store.keys.find(secret) is not None
    page.get_by_role("button", name="Revoke nightly").click()
    expect(page.get_by_text("⊘ revoked")).to_be_visible()
    assert site.store.keys.find(secret) is None
    page.get_by_role("link", name="People").first.click()
    page.get_by_label("E-mail").fill("ben@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("button", name="Disable ben@example.org").click()
    expect(page.get_by_text("⊘ disabled")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"{site.url}/settings/people")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_settings_fit_a_narrow_screen(serve: Serve, open_tab: Open, scheme: str) -> None:
    site = serve()
    for name in ("ana", "somebody-with-a-long-name-that-goes-on.and.on"):
        site.store.accounts.create(f"{name}@example.org", password_hash=hashed(PASSWORD))
        site.store.keys.create(f"the key of {name}", user=f"{name}@example.org")
    tab = open_tab(site, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    for path in ("/settings/people", "/settings/keys", "/settings/password", "/sign-in"):
        page = tab.open(path)
        if path == "/settings/people":
            page.get_by_text("Password…").last.click()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, path
