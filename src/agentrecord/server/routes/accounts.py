"""The project's accounts over REST, for administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi import Query as InQuery
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from agentrecord.exceptions import InvalidValue
from agentrecord.records.account import Account
from agentrecord.server.desk import Desk
from agentrecord.server.fields import Email, Name, NewPassword
from agentrecord.server.identity import Identity, administrator_of
from agentrecord.server.routes.auth import EMAIL, PASSWORD, desk_of
from agentrecord.server.routes.common import CONFLICT, MISSING, PROBLEMS, ListQuery
from agentrecord.server.routes.keys import GivenRole
from agentrecord.server.wire import PageOf, StrictRoute, answer, described, model_of, no_query

router = APIRouter(prefix="/api/accounts", tags=["accounts"], responses=PROBLEMS, route_class=StrictRoute)


class AccountQuery(ListQuery):
    """Which accounts."""

    q: str | None = Field(None, description="Words in the e-mail")


class NewAccount(BaseModel):
    """An account to make."""

    model_config = ConfigDict(extra="forbid")
    email: Email = EMAIL
    password: NewPassword = PASSWORD
    name: Name | None = Field(None, examples=["Ana"])
    role: GivenRole = GivenRole.WRITE


class AccountChanges(BaseModel):
    """What to change of an account; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    role: GivenRole | None = Field(None, examples=["read"])
    disabled: StrictBool | None = None
    password: NewPassword | None = None


async def made_account(
    who: Identity, desk: Desk, email: str, password: str, *, name: str | None, role: GivenRole
) -> Account:
    """Make an account with a password."""
    async with desk.passwords.place():
        password_hash = await desk.passwords.hash(password)
    return await who.store.accounts.create(email, role=role.role, name=name, password_hash=password_hash, by=who.actor)


async def changed_account(who: Identity, desk: Desk, account: UUID, changes: AccountChanges) -> Account:
    """Change an account."""
    password_hash = None
    if changes.password is not None:
        async with desk.passwords.place():
            password_hash = await desk.passwords.hash(changes.password)
    found = await who.store.accounts.get(account)
    if str(account) == who.id and (changes.disabled or changes.role is not None):
        raise InvalidValue("account", found.email, "is your own: let another administrator change its role or state")
    return await who.store.accounts.change(
        account, role=None if changes.role is None else changes.role.role, is_disabled=changes.disabled,
        password_hash=password_hash, keep=who.sign_in, by=who.actor,
    )  # fmt: skip


@router.get("", response_model=None, responses=described(PageOf[model_of(Account)], "Accounts"))  # type: ignore[misc]
async def list_accounts(request: Request, query: Annotated[AccountQuery, InQuery()]) -> Response:
    """List the accounts that are members of the project, by e-mail."""
    who = administrator_of(request)
    return answer(await who.store.accounts.list(words=query.q, limit=query.limit, cursor=query.cursor))


@router.post(
    "", status_code=201, response_model=None, dependencies=[Depends(no_query)],
    responses={**described(model_of(Account), "The account", status=201), **CONFLICT},
)  # fmt: skip
async def create_account(request: Request, given: Annotated[NewAccount, Body()]) -> Response:
    """Make an account and a member of the project of it."""
    made = await made_account(
        administrator_of(request), desk_of(request), given.email, given.password, name=given.name, role=given.role
    )
    return answer(made, 201)


@router.patch(
    "/{account_id}", response_model=None, dependencies=[Depends(no_query)],
    responses={**described(model_of(Account), "The account as it is now"), **MISSING},
)  # fmt: skip
async def change_account(request: Request, account_id: UUID, given: Annotated[AccountChanges, Body()]) -> Response:
    """Change an account's role, state or password; a new password and a disabled account end its sign-ins."""
    return answer(await changed_account(administrator_of(request), desk_of(request), account_id, given))
