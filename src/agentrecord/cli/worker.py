"""One of several processes that serve a record behind one socket: what each builds its application from.

The processes are started anew, so that nothing of the first one's connections comes along; what they need is passed in
one environment variable.
"""

import os
import socket
from dataclasses import dataclass
from typing import Any  # `Any`: options of uvicorn
from uuid import UUID

import msgspec

from agentrecord.agents.choose import limits_from, runner_from
from agentrecord.cli.identity import from_environment, identity_settings, loaded, secret_of
from agentrecord.cli.loading import loading
from agentrecord.ids import ProjectId, UserId
from agentrecord.records.scope import Scope
from agentrecord.store import AsyncStore, Store

VARIABLE = "AGENTRECORD_WORKER"
GRACE_S = 2
"""How long the end waits for open connections: a live page never closes its stream by itself."""

KEEP_ALIVE_S = 75
"""How long a connection may be idle: longer than clients and proxies keep theirs, or a request meets its closing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a worker is told: which record, seen as whom, how people come in, and how a command on it begins."""

    url: str
    project: UUID
    user: UUID | None
    token: str | None
    public_hosts: tuple[str, ...]
    command: str

    def build(self, store: Store, *, is_own: bool = False) -> object:
        """Return the application over `store`, which is closed with it if it `is_own`."""
        environ = from_environment()
        scope = Scope(project=ProjectId(self.project), user=None if self.user is None else UserId(self.user))
        # What an application is made of stays, too: 200,000 objects, and to look through them would hold up pages.
        with loading():
            application: object = loaded("agentrecord.server.app").build_app(
                AsyncStore(engine=store.engine, scope=scope),
                secret=secret_of(store, environ),
                sign_in_token=self.token,
                identity=identity_settings(environ, public_hosts=self.public_hosts),
                runner=runner_from(environ),
                limits=limits_from(environ),
                on_close=store.close if is_own else None,
                command=self.command,
            )
        return application


def app() -> object:
    """Return a worker's application; called in each process."""
    told = msgspec.json.decode(os.environ[VARIABLE], type=Worker)
    return told.build(Store(told.url), is_own=True)


def options(worker: Worker) -> dict[str, Any]:
    """Return how uvicorn runs.

    Where no proxy stands in front, as for a server without public names, `X-Forwarded-For` is a caller's own word.
    """
    return {
        "log_level": "warning",
        "timeout_graceful_shutdown": GRACE_S,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "proxy_headers": bool(worker.public_hosts),
    }


def serve_here(worker: Worker, store: Store, listener: socket.socket) -> None:
    """Serve in this process until it is told to end."""
    uvicorn, running = loaded("uvicorn"), loaded("agentrecord.server.running")
    config = uvicorn.Config(worker.build(store), **options(worker))
    running.Server(config).run(sockets=[listener])


def serve_in(count: int, worker: Worker, listener: socket.socket) -> None:
    """Serve in `count` processes of their own until this one is told to end; one that dies is started again."""
    uvicorn = loaded("uvicorn")
    os.environ[VARIABLE] = msgspec.json.encode(worker).decode()
    config = uvicorn.Config(f"{__name__}:app", factory=True, workers=count, **options(worker))
    # Each worker ends its turns after its connections: a client that is cut off finds its turn's end when it resumes.
    loaded("uvicorn.supervisors").Multiprocess(config, sockets=[listener]).run()
