"""The pages for people and keys: plain forms, checked like any request, and nothing shown that must not be."""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from page_fixtures import dead_links, signed_in
from test_sign_in import FORM, OWN_PAGE, PASSWORD, Served, serving

from agentrecord.dashboard.assets import asset
from agentrecord.records.scope import Role


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as found:
        signed_in(found.client)
        yield found


def test_an_account_is_made_by_the_form_and_its_role_changed_and_it_is_disabled(served: Served) -> None:
    form = {"email": "New@Example.org", "name": "New", "password": PASSWORD, "role": "read"}
    made = served.client.post("/settings/people", data=form, headers=OWN_PAGE)
    assert (made.status_code, made.headers["location"]) == (303, "/settings/people")
    account = served.store.accounts.find("new@example.org")
    assert account is not None
    assert (account.name, account.role) == ("New", Role.READ)
    page = served.client.get("/settings/people").text
    assert "new@example.org" in page
    assert "argon2" not in page
    path = f"/settings/people/{account.id}"
    for form, expected in (
        ({"role": "admin"}, (Role.ADMIN, False)),
        ({"disabled": "yes"}, (Role.ADMIN, True)),
        ({"disabled": "no"}, (Role.ADMIN, False)),
    ):
        assert served.client.post(path, data=form, headers=OWN_PAGE).status_code == 303
        now = served.store.accounts.get(account.id)
        assert (now.role, now.disabled_at is not None) == expected
    changed = {"password": "another good password"}
    assert served.client.post(path, data=changed, headers=OWN_PAGE).status_code == 303
    assert served.tokens("new@example.org", "another good password")


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"email": "new@example.org", "password": "brief!"}, 422, "needs at least 12"),
        ({"email": "no", "password": PASSWORD}, 422, "is no e-mail address"),
        ({"email": "ana@example.org", "password": PASSWORD}, 409, "exists already"),
        ({"email": "new@example.org", "password": PASSWORD, "role": "operator"}, 422, "is none"),
        ({"email": "<b>x</b>@example.org", "name": "<i>", "password": "brief!"}, 422, "needs at least 12"),
    ],
)
def test_a_form_that_is_refused_says_why_and_keeps_what_was_typed(
    served: Served, form: dict[str, str], status: int, said: str
) -> None:
    served.account("ana@example.org")
    answer = served.client.post("/settings/people", data=form, headers=OWN_PAGE)
    assert answer.status_code == status
    assert said in answer.text
    assert form["password"] not in answer.text
    assert "<b>" not in answer.text
    assert "<i>" not in answer.text
    assert form["email"] in answer.text.replace("&lt;", "<").replace("&gt;", ">")
    assert served.store.accounts.find("new@example.org") is None


def test_nobody_takes_their_own_role_away(served: Served) -> None:
    root = served.account("root@example.org", Role.ADMIN)
    served.client.cookies.clear()
    form = {"email": "root@example.org", "password": PASSWORD}
    served.client.post("/sign-in", data=form, headers=OWN_PAGE)
    for change in ({"role": "read"}, {"disabled": "yes"}):
        answer = served.client.post(f"/settings/people/{root.id}", data=change, headers=OWN_PAGE)
        assert (answer.status_code, "is your own" in answer.text) == (422, True)
        assert dead_links(served.client, answer) == []
    assert served.store.accounts.get(root.id) == root
    assert "(you)" in served.client.get("/settings/people").text


def test_a_key_is_shown_once_and_revoked_by_its_button(served: Served) -> None:
    form = {"name": "nightly", "role": "write", "user": "ana", "expires": "2027-01-31"}
    made = served.client.post("/settings/keys", data=form, headers=OWN_PAGE)
    assert made.status_code == 200
    secret = re.findall(r"arec_[0-9a-f]+_[\w-]+", made.text)[0]
    key = served.store.keys.find(secret)
    assert key is not None
    assert (key.name, key.role, key.user, f"{key.expires_at:%Y-%m-%d}") == ("nightly", Role.WRITE, "ana", "2027-01-31")
    assert made.headers["cache-control"] == "no-store"
    assert secret not in served.client.get("/settings/keys").text
    assert served.client.post(f"/settings/keys/{key.id}/revoke", headers=FORM).status_code == 303
    assert served.store.keys.find(secret) is None
    assert "⊘ revoked" in served.client.get("/settings/keys").text
    for wrong, status in (({"name": " "}, 422), ({"name": "k", "expires": "soon"}, 422),
                          ({"name": "k", "expires": "2020-01-01"}, 422),
                          ({"name": "k", "role": "admin", "user": "ana"}, 422)):  # fmt: skip
        answer = served.client.post("/settings/keys", data=wrong, headers=OWN_PAGE)
        assert (answer.status_code, "✕" in answer.text) == (status, True)
    assert served.store.keys.list().total == 1


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
def test_another_sites_form_changes_nothing(served: Served, headers: dict[str, str]) -> None:
    ana = served.account("ana@example.org")
    key = served.store.keys.create("k").key
    for path, form in (
        ("/settings/people", {"email": "new@example.org", "password": PASSWORD}),
        (f"/settings/people/{ana.id}", {"role": "admin"}),
        ("/settings/keys", {"name": "k2"}),
        (f"/settings/keys/{key.id}/revoke", {}),
        ("/settings/password", {"old_password": PASSWORD, "new_password": PASSWORD}),
        ("/sign-out", {}),
        ("/sign-in", {"email": "ana@example.org", "password": PASSWORD}),
    ):
        answer = served.client.post(path, data=form, headers={"content-type": FORM["content-type"], **headers})
        assert answer.status_code == 403, path
        assert "set-cookie" not in answer.headers
    assert served.store.accounts.get(ana.id) == ana
    assert [k.revoked_at for k in served.store.keys.list()] == [None]


def test_a_member_has_a_password_page_and_no_other_settings(served: Served) -> None:
    ana = served.account("ana@example.org")
    served.client.cookies.clear()
    served.client.post("/sign-in", data={"email": "ana@example.org", "password": PASSWORD}, headers=OWN_PAGE)
    for path in ("/settings/people", "/settings/keys"):
        assert served.client.get(path).status_code == 403
        assert served.client.post(path, data={"name": "k"}, headers=OWN_PAGE).status_code == 403
    assert served.client.post(f"/settings/people/{ana.id}", data={"role": "admin"}, headers=OWN_PAGE).status_code == 403
    wrong = {"old_password": "wrong", "new_password": "another good password"}
    refused = served.client.post("/settings/password", data=wrong, headers=OWN_PAGE)
    assert (refused.status_code, "password is wrong" in refused.text) == (401, True)
    changed = served.client.post("/settings/password", data={**wrong, "old_password": PASSWORD}, headers=OWN_PAGE)
    assert (changed.status_code, "✓ Changed" in changed.text) == (200, True)
    assert served.client.get("/settings/password").status_code == 200
    assert served.tokens("ana@example.org", "another good password")


def test_the_pages_of_an_empty_record_say_what_to_do() -> None:
    with serving() as served:
        signed_in(served.client)
        assert "Nobody has an account here yet" in served.client.get("/settings/people").text
        assert "There is no key yet" in served.client.get("/settings/keys").text


def test_the_settings_pages_have_no_inline_style_or_script_and_a_label_for_every_field(served: Served) -> None:
    ana = served.account("ana@example.org")
    served.store.keys.create("k")
    for path in ("/settings/people", "/settings/keys", "/settings/password", "/sign-in"):
        page = served.client.get(path).text
        assert not re.search(r"<[^>]+\s(style|on\w+)=", page), path
        assert re.findall(r"<script[^>]*>", page) == [f'<script src="{asset("page.js")}" type="module">'], path
        assert page.count("<h1") == 1
        without_labels = re.sub(r"<label\b.*?</label>", "", page, flags=re.DOTALL)
        fields = re.findall(r"<(?:input|select)[^>]*>", without_labels)
        assert [
            f for f in fields if 'type="hidden"' not in f and 'id="find"' not in f and 'id="palette' not in f
        ] == [], path
    assert isinstance(ana.id, UUID)


def test_many_accounts_and_keys_come_in_pages(served: Served) -> None:
    for number in range(51):
        served.store.accounts.create(f"a{number:02}@example.org")
        served.store.keys.create(f"k{number:02}")
    for path, last in (("/settings/people", "a50@example.org"), ("/settings/keys", "k00")):
        first = served.client.get(path).text
        assert last not in first
        following = re.findall(r'rel="next" href="([^"]+)"', first)[0].replace("&amp;", "&")
        assert last in served.client.get(path + following).text
