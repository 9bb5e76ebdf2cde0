"""The pages on which administrators look after accounts and keys."""

from dataclasses import dataclass, field

from agentrecord.dashboard.filters import Asked
from agentrecord.records.account import Account
from agentrecord.records.page import Page
from agentrecord.records.project import ApiKey, NewApiKey
from agentrecord.store import AsyncStore

ROWS = 50
ROLES = (("read", "reader"), ("write", "member"), ("admin", "administrator"))
"""The roles that can be given, and what people call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeoplePage:
    """Accounts; `refused` says why the last form was not carried out, `given` holds what it said."""

    found: Page[Account]
    is_first: bool
    me: str
    refused: str = ""
    given: Asked = field(default_factory=dict)
    roles: tuple[tuple[str, str], ...] = ROLES


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysPage:
    """API keys; `made` is the one just made, whose secret is shown this once."""

    found: Page[ApiKey]
    is_first: bool
    made: NewApiKey | None = None
    refused: str = ""
    given: Asked = field(default_factory=dict)
    roles: tuple[tuple[str, str], ...] = ROLES


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordPage:
    """The form with which an account changes its own password."""

    refused: str = ""
    is_changed: bool = False


async def people(
    store: AsyncStore, asked: Asked, *, me: str, refused: str = "", given: Asked | None = None
) -> PeoplePage:
    """Return a page of accounts; `me` is the id of the account that looks."""
    cursor = asked.get("after")
    found = await store.accounts.list(limit=ROWS, cursor=cursor)
    return PeoplePage(found=found, is_first=cursor is None, me=me, refused=refused, given=given or {})


async def keys(
    store: AsyncStore,
    asked: Asked,
    *,
    made: NewApiKey | None = None,
    refused: str = "",
    given: Asked | None = None,
) -> KeysPage:
    """Return a page of keys."""
    cursor = asked.get("after")
    found = await store.keys.list(limit=ROWS, cursor=cursor)
    return KeysPage(found=found, is_first=cursor is None, made=made, refused=refused, given=given or {})
