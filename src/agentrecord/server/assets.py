"""The dashboard's files: for good at the addresses that its pages name, to be asked for again at all others."""

from pathlib import PurePath

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from agentrecord.dashboard.assets import STATIC, is_version, version

KEPT = "public, max-age=31536000, immutable"


class Assets(StaticFiles):
    """Serves each file by its name, and by a version and its name.

    Under another version than the present one, of a page that was opened before an upgrade, stands the present file;
    like one without a version it is asked for again each time (RFC 8246 on what `immutable` promises).
    """

    def __init__(self) -> None:
        """Serve what is in `STATIC`."""
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file; raise an `HTTPException` of 404 for one that is not there."""
        first, *rest = PurePath(path).parts or ("",)
        if not (rest and is_version(first)):
            return await super().get_response(path, scope)
        response = await super().get_response(str(PurePath(*rest)), scope)
        response.headers["Cache-Control"] = KEPT if first == version() else "no-cache"
        return response
