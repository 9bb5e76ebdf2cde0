"""`agentrecord serve`: the dashboard and the API, on this computer only."""

import ipaddress
import os
import secrets
import socket
import webbrowser
from contextlib import suppress
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import click
from click.core import ParameterSource

from agentrecord.agents.choose import runner_from, turn_timeout_s
from agentrecord.agents.conversation import Limits
from agentrecord.agents.runner import AgentRunner
from agentrecord.cli.opening import writing
from agentrecord.cli.output import flush
from agentrecord.cli.terminal import hint, say
from agentrecord.exceptions import AgentRecordError, InvalidValue
from agentrecord.ingest.load import import_sample
from agentrecord.ingest.registry import SOURCES
from agentrecord.store import AsyncStore, Store

DEFAULT_PORT = 8321
PORTS_TRIED = 50
SECRET_KEY = "server_secret"


def loaded(name: str) -> ModuleType:
    """Return a module of the server's; raise an error that says how to install it if it is not there."""
    # By name, because the plain install has no server in it.
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("agentrecord"):
            raise
        raise AgentRecordError(f"{error.name} is not installed: pip install 'agentrecord[server]'") from error


def checked_host(host: str) -> str:
    """Return `host` if only this computer can reach it; raise `InvalidValue` for any other."""
    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise InvalidValue(
            "host", host, "the server answers this computer only: use 127.0.0.1, and a tunnel (ssh -L) from elsewhere"
        )
    return host


def bound_socket(host: str, port: int, *, exactly: bool) -> socket.socket:
    """Return a listening socket at `port`, or at the next free one unless it must be `exactly` that."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in [port] if exactly else range(port, min(port + PORTS_TRIED, 65536)):
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, candidate))
            found.listen(128)
        except OSError:
            found.close()
            continue
        return found
    raise AgentRecordError(f"port {port} on {host} is taken; name another with --port")


def add_sample(store: Store) -> bool:
    """Import the packaged sample if the record is empty, and say whether it was."""
    if store.sessions.list(limit=1).items:
        return False
    import_sample(store, Path(str(files("agentrecord") / "samples")), SOURCES)
    return True


def _serve(store: Store, listener: socket.socket, runner: AgentRunner, *, host: str, opens: bool) -> None:
    uvicorn, app = loaded("uvicorn"), loaded("agentrecord.server.app")
    limits = Limits(turn_s=turn_timeout_s(os.environ))
    secret = store.settings.ensure(SECRET_KEY, secrets.token_bytes(32))
    token = secrets.token_urlsafe(24)
    keep_ballast = getattr(store.engine, "keep_ballast", None)
    if keep_ballast is not None:
        keep_ballast()
    asked = AsyncStore(engine=store.engine, scope=store.scope)
    built = app.build_app(asked, secret=secret, sign_in_token=token, runner=runner, limits=limits)
    named = f"[{host}]" if ":" in host else host
    link = f"http://{named}:{listener.getsockname()[1]}/sign-in?token={token}"
    say(f"agentrecord is at {link}")
    hint("the link signs you in; Ctrl-C ends the server")
    flush()
    if opens:
        webbrowser.open(link)
    # A live page never closes its stream by itself, so the end must not wait for it.
    server = loaded("agentrecord.server.running").Server(
        uvicorn.Config(built, log_level="warning", timeout_graceful_shutdown=2)
    )
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    hint("stopped")


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; this computer only.")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True,
              help="Where to listen; the next free one if it is taken and was not named.")  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open the dashboard in the browser.")
@click.option("--sample", "--demo", "sample", is_flag=True, help="Fill an empty record with the packaged sample.")
@click.pass_context
def command(context: click.Context, host: str, port: int, opens: bool, sample: bool) -> None:
    """Serve the dashboard and the API, and print the link that signs in.

    \b
    Examples:
      agentrecord serve --open
      agentrecord serve --sample --port 9000
    """
    checked_host(host)
    loaded("fastapi")
    runner = runner_from(os.environ)
    given = context.get_parameter_source("port") is ParameterSource.COMMANDLINE
    with bound_socket(host, port, exactly=given) as listener, writing() as store:
        if sample and add_sample(store):
            hint("the record was empty: the packaged sample is in it now")
        _serve(store, listener, runner, host=host, opens=opens)
