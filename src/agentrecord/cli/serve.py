"""`agentrecord serve`: the dashboard and the API, on this computer, or for others who have an account."""

import ipaddress
import secrets
import socket
import webbrowser
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import click
from click.core import ParameterSource

from agentrecord.agents.choose import runner_from
from agentrecord.cli import settings
from agentrecord.cli.identity import check_open_to_all, from_environment, is_near, loaded, public_names
from agentrecord.cli.opening import writing
from agentrecord.cli.output import flush
from agentrecord.cli.terminal import hint, say
from agentrecord.cli.worker import Worker, serve_here, serve_in
from agentrecord.exceptions import AgentRecordError, InvalidValue, StoreUnavailable
from agentrecord.ingest.load import import_sample
from agentrecord.ingest.registry import SOURCES
from agentrecord.store import Store
from agentrecord.store.roles import MEND, bypass_of

DEFAULT_PORT = 8321
PORTS_TRIED = 50


def checked_host(host: str) -> str:
    """Return `host` if it is an address to listen at; raise `InvalidValue` for any other."""
    try:
        ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise InvalidValue("host", host, "is no address; use 127.0.0.1, or 0.0.0.0 and --public-host NAME") from None
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


def check_isolation(store: Store, *, allowed: bool) -> None:
    """Raise `StoreUnavailable` if row-level security does not bind the store's role; warn only, where it is `allowed`.

    A server answers several people: a mistake in one statement must not show one the rows of another.
    """
    bypass = bypass_of(store.engine)
    if bypass is None:
        return
    told = f"row-level security does not bind this server: {bypass}"
    if not allowed:
        raise StoreUnavailable(f"{told}. Mend: {MEND}; or serve without it: --allow-rls-bypass")
    hint(f"warning: {told}", warning=True)


def _serve(
    store: Store, listener: socket.socket, *, host: str, public: tuple[str, ...], opens: bool, workers: int
) -> None:
    is_public = bool(public) or not is_near(host)
    worker = Worker(
        url=settings.current().url,
        project=store.scope.project,
        user=store.scope.user,
        # Where others can come in, they come in by name: the link is for who sits at this computer.
        token=None if is_public else secrets.token_urlsafe(24),
        public_hosts=public_names(host, public),
        command=settings.current().command,
    )
    keep_ballast = getattr(store.engine, "keep_ballast", None)
    if keep_ballast is not None:
        keep_ballast()
    link = _tell(host, listener.getsockname()[1], worker.token)
    flush()
    if opens:
        webbrowser.open(link)
    with suppress(KeyboardInterrupt):
        if workers > 1:
            serve_in(workers, worker, listener)
        else:
            serve_here(worker, store, listener)
    hint("stopped")


def _tell(host: str, port: int, token: str | None) -> str:
    """Say where the server is and how to get in; return the address to open."""
    at = f"http://{f'[{host}]' if ':' in host else host}:{port}/sign-in"
    link = at if token is None else f"{at}?token={token}"
    say(f"agentrecord is at {link}")
    if token is None:
        hint("people sign in with their accounts; put TLS in front of it; Ctrl-C ends the server")
    else:
        hint("the link signs you in; Ctrl-C ends the server")
    return link


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Where to listen; beyond this computer with AGENTRECORD_SECRET and an account only.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True,
              help="Where to listen; the next free one if it is taken and was not named.")  # fmt: skip
@click.option("--public-host", "public", multiple=True, metavar="NAME",
              help="A name that others reach the server by; may be repeated.")  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open the dashboard in the browser.")
@click.option("--sample", "--demo", "sample", is_flag=True, help="Fill an empty record with the packaged sample.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True,
              help="How many processes answer; more than one needs a file or PostgreSQL.")  # fmt: skip
@click.option(
    "--allow-rls-bypass",
    is_flag=True,
    help="Serve from PostgreSQL even as a role that row-level security does not bind.",
)
@click.pass_context
def command(
    context: click.Context, *, host: str, port: int, public: tuple[str, ...], opens: bool, sample: bool,
    workers: int, allow_rls_bypass: bool,
) -> None:  # fmt: skip
    """Serve the dashboard and the API, and print the link that signs in.

    \b
    Examples:
      agentrecord serve --open
      agentrecord serve --sample --port 9000
      AGENTRECORD_SECRET=… agentrecord serve --public-host record.example.org
    """
    loaded("fastapi")
    checked_host(host)
    runner_from(from_environment())
    if workers > 1 and settings.current().url.startswith("memory"):
        raise InvalidValue("workers", workers, "must be 1 for a record in memory, which other processes cannot see")
    given = context.get_parameter_source("port") is ParameterSource.COMMANDLINE
    with writing() as store:
        check_isolation(store, allowed=allow_rls_bypass)
        if public or not is_near(host):
            check_open_to_all(store, from_environment(), host=host, names=public)
        with bound_socket(host, port, exactly=given) as listener:
            if sample and add_sample(store):
                hint("the record was empty: the packaged sample is in it now")
            _serve(store, listener, host=host, public=public, opens=opens, workers=workers)
