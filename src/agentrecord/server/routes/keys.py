"""API keys over REST, for administrators."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi import Query as InQuery
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from agentrecord.exceptions import InvalidValue
from agentrecord.records.project import ApiKey, NewApiKey
from agentrecord.records.scope import Role
from agentrecord.server.fields import Moment, Name
from agentrecord.server.identity import Identity, administrator_of
from agentrecord.server.routes.common import MISSING, PROBLEMS, ListQuery
from agentrecord.server.wire import PageOf, StrictRoute, answer, described, model_of, no_query

router = APIRouter(prefix="/api/keys", tags=["keys"], responses=PROBLEMS, route_class=StrictRoute)


class GivenRole(StrEnum):
    """The roles that can be given within a project."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def role(self) -> Role:
        """Return the role itself."""
        return Role(self.value)


_ADMIN_OF_ONE: dict[str, JsonValue] = {
    "properties": {"role": {"const": "admin"}, "user": {"type": "string"}}, "required": ["role", "user"],
}  # fmt: skip


class NewKey(BaseModel):
    """A key to make; with `user` it sees that user's rows only."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"not": _ADMIN_OF_ONE})
    name: Name = Field(examples=["nightly import"])
    role: GivenRole = GivenRole.READ
    user: Name | None = Field(None, examples=["ana@example.org"])
    expires_at: Moment | None = Field(None, examples=["2027-01-31T00:00:00Z"])


async def made_key(
    who: Identity, name: str, role: GivenRole, *, user: str | None, expires_at: datetime | None
) -> NewApiKey:
    """Make a key; raises `InvalidValue` for an administrator's key that would see one user only."""
    if user is not None and role is GivenRole.ADMIN:
        raise InvalidValue("user", user, "goes with the roles read and write; an administrator's key sees everybody")
    return await who.store.keys.create(name, role=role.role, user=user, expires_at=expires_at, by=who.actor)


@router.get("", response_model=None, responses=described(PageOf[model_of(ApiKey)], "Keys"))  # type: ignore[misc]
async def list_keys(request: Request, query: Annotated[ListQuery, InQuery()]) -> Response:
    """List the project's keys, the newest first, without their secrets."""
    who = administrator_of(request)
    return answer(await who.store.keys.list(limit=query.limit, cursor=query.cursor))


@router.post(
    "", status_code=201, response_model=None, dependencies=[Depends(no_query)],
    responses=described(model_of(NewApiKey), "The key, with the secret that is never shown again", status=201),
)  # fmt: skip
async def create_key(request: Request, given: Annotated[NewKey, Body()]) -> Response:
    """Make a key; its secret is in this answer and nowhere else."""
    who = administrator_of(request)
    return answer(await made_key(who, given.name, given.role, user=given.user, expires_at=given.expires_at), 201)


@router.delete(
    "/{key_id}", response_model=None, dependencies=[Depends(no_query)],
    responses={**described(model_of(ApiKey), "The key as it is now"), **MISSING},
)  # fmt: skip
async def revoke_key(request: Request, key_id: UUID) -> Response:
    """Take a key out of use at once; it stays listed."""
    who = administrator_of(request)
    return answer(await who.store.keys.revoke(key_id, by=who.actor))
