"""Signing in, up and out over REST, and who one is."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from agentrecord.ids import ProjectId, UserId
from agentrecord.records.account import Account
from agentrecord.records.scope import Role
from agentrecord.server.desk import Desk, Tokens
from agentrecord.server.fields import Email, NewPassword
from agentrecord.server.identity import IdentityKind, address_of, identity_of
from agentrecord.server.routes.common import BUSY, CONFLICT, PROBLEMS
from agentrecord.server.wire import StrictRoute, answer, described, model_of, no_query

router = APIRouter(
    prefix="/api/auth", tags=["sign-in"], responses=PROBLEMS, dependencies=[Depends(no_query)], route_class=StrictRoute
)

EMAIL = Field(examples=["ana@example.org"])
PASSWORD = Field(max_length=1024, examples=["correct horse battery staple"])


class Credentials(BaseModel):
    """An e-mail address and its password."""

    model_config = ConfigDict(extra="forbid")
    email: Email = EMAIL
    password: str = PASSWORD


class NewCredentials(BaseModel):
    """An e-mail address, and the password that shall go with it."""

    model_config = ConfigDict(extra="forbid")
    email: Email = EMAIL
    password: NewPassword = PASSWORD


class RefreshToken(BaseModel):
    """The refresh token of the last sign-in or refresh."""

    model_config = ConfigDict(extra="forbid")
    refresh_token: str = Field(max_length=200)


class Passwords(BaseModel):
    """The password that is, and the one that shall be."""

    model_config = ConfigDict(extra="forbid")
    old_password: str = PASSWORD
    new_password: NewPassword = PASSWORD


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who asks: `user` is whose rows are theirs, None for keys and links that stand for nobody in particular."""

    kind: IdentityKind
    id: str
    name: str
    role: Role
    project_id: ProjectId
    user_uuid: UserId | None
    user: str | None


def desk_of(request: Request) -> Desk:
    """Return where people sign in."""
    found: Desk = request.app.state.desk
    return found


@router.post("/sign-in", response_model=None, responses={**described(model_of(Tokens), "Signed in"), **BUSY})
async def sign_in(request: Request, given: Annotated[Credentials, Body()]) -> Response:
    """Sign in with e-mail and password; the access token goes into `Authorization: Bearer …`."""
    desk = desk_of(request)
    return answer(await desk.sign_in_program(given.email, given.password, address=address_of(request.scope)))


@router.post("/refresh", response_model=None, responses=described(model_of(Tokens), "New tokens"))
async def refresh(request: Request, given: Annotated[RefreshToken, Body()]) -> Response:
    """Take a refresh token, which works once, for new tokens; one that comes twice ends the sign-in."""
    return answer(await desk_of(request).refresh(given.refresh_token, address=address_of(request.scope)))


@router.post("/sign-out", status_code=204, response_model=None)
async def sign_out(request: Request) -> Response:
    """End the sign-in that the access token came from: it and its refresh token are refused from now on."""
    await desk_of(request).sign_out(identity_of(request))
    return Response(status_code=204)


@router.post(
    "/sign-up", status_code=201, response_model=None,
    responses={**described(model_of(Account), "The account", status=201), **CONFLICT, **BUSY},
)  # fmt: skip
async def sign_up(request: Request, given: Annotated[NewCredentials, Body()]) -> Response:
    """Make an account, where the server is set up to let anybody: AGENTRECORD_SIGN_UP=open."""
    made = await desk_of(request).sign_up(given.email, given.password, address=address_of(request.scope))
    return answer(made, 201)


@router.post("/password", status_code=204, response_model=None, responses=BUSY)
async def change_password(request: Request, given: Annotated[Passwords, Body()]) -> Response:
    """Change one's own password; all other sign-ins end."""
    await desk_of(request).change_password(identity_of(request), given.old_password, given.new_password)
    return Response(status_code=204)


@router.get("/me", response_model=None, responses=described(model_of(Me), "Who asks"))
async def me(request: Request) -> Response:
    """Say who one is here, and what one may do."""
    who = identity_of(request)
    return answer(
        Me(
            kind=who.kind, id=who.id, name=who.name, role=who.role, project_id=who.project,
            user_uuid=who.user_uuid, user=who.user,
        )
    )  # fmt: skip
