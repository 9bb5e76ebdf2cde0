"""Where `agentrecord` starts: the list of commands, loaded by name, and the one place that reports errors."""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any  # `Any`: click's own signatures

import click

import agentrecord
from agentrecord.cli import settings
from agentrecord.cli.loading import loading
from agentrecord.cli.settings import accept_shared_options, shared_options
from agentrecord.exceptions import AgentRecordError, InvalidFilter

EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

COMMANDS: dict[str, tuple[str, str]] = {
    "import": ("import_", "Import transcripts of coding agents."),
    "unreadable": ("unreadable", "List the lines that could not be read."),
    "sessions": ("sessions", "List conversations."),
    "session": ("session", "Read one conversation."),
    "search": ("search", "Find words in messages."),
    "runs": ("runs", "List runs of agents."),
    "run": ("run", "Show one run as a tree with a waterfall."),
    "compare": ("compare", "Show two runs side by side."),
    "agents": ("agents", "List agents, show one, compare its versions."),
    "users": ("users", "List users with what they did and spent."),
    "errors": ("errors", "List groups of equal errors."),
    "error": ("error", "Show one group of equal errors, resolve it."),
    "sql": ("sql", "Ask in SQL, read-only."),
    "tail": ("tail", "Follow what happens."),
    "top": ("top", "Watch what goes on now."),
    "usage": ("usage", "Show tokens and costs."),
    "cost": ("cost", "Show what was spent, and on what."),
    "prices": ("prices", "List, set and check prices."),
    "reprice": ("reprice", "Charge past calls by today's prices."),
    "budgets": ("budgets", "List and set limits on what calls may cost."),
    "accounts": ("accounts", "List, make and change accounts."),
    "keys": ("keys", "List, make and revoke API keys."),
    "export": ("export", "Write the spans of traces, to import elsewhere."),
    "serve": ("serve", "Serve the dashboard and the API."),
    "db": ("db", "Look after the database."),
    "check-samples": ("check_samples", "Check the importer against expected figures."),
    "completion": ("completion", "Print a shell's completion script."),
}
SECTIONS: dict[str, tuple[str, ...]] = {
    "Bring in": ("import", "unreadable"),
    "Look": (
        "sessions",
        "session",
        "search",
        "runs",
        "run",
        "compare",
        "agents",
        "users",
        "errors",
        "error",
        "sql",
        "tail",
        "top",
    ),
    "Money": ("usage", "cost", "prices", "reprice", "budgets"),
    "Take out": ("export",),
    "Serve and look after": ("serve", "accounts", "keys", "db", "check-samples", "completion"),
}
EPILOG = """\b
Examples:
  agentrecord import                 everything from the places the tools use
  agentrecord usage --since 7d       tokens and costs by day
  agentrecord serve --open           the dashboard, in the browser

\b
A command's output is a table on a terminal, and tab-separated text in a pipe;
--json, --jsonl, --csv and --plain choose. Warnings and hints go to stderr.

\b
Exit codes: 0 ok, 1 error, 2 usage, 3 nothing matched (with --fail-if-empty),
4 budget exceeded (usage --budget, budgets --fail-if-over), 130 interrupted.
Ctrl-C is the ordinary end of tail, serve and import --watch: they exit 0.
"""


class Program(click.Group):
    """The command `agentrecord`; a subcommand's module is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command by its name."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            with loading():
                found: click.Command = import_module(f"agentrecord.cli.{COMMANDS[cmd_name][0]}").command
                self.commands[cmd_name] = accept_shared_options(found)
        return self.commands[cmd_name]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, without importing one."""
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; be quiet when the reader of a pipe has had enough."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is still buffered has nowhere to go, and must not fail once more when Python exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return result

    def main(self, args: Sequence[str] | None = None, *rest: Any, **more: Any) -> Any:
        """Run the command line and exit with its code."""
        more["standalone_mode"] = False
        sys.exit(self._run(args, more))

    def _run(self, args: Sequence[str] | None, more: dict[str, Any]) -> int:
        try:
            code = super().main(args, **more)
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            return EXIT_INTERRUPTED
        except InvalidFilter as error:
            _fail(f"error: {error}")
            return EXIT_USAGE
        except AgentRecordError as error:
            return _fail(f"error: {error}")
        except Exception as error:
            return _unexpected(error)
        return code if isinstance(code, int) else 0


def _fail(text: str) -> int:
    click.echo(text, err=True)
    return EXIT_ERROR


def _unexpected(error: Exception) -> int:
    if _wants_traceback():
        traceback.print_exception(error)
        return EXIT_ERROR
    said = " ".join(str(error).split())[:300]
    return _fail(f"error: {type(error).__name__}: {said} (run it again with --traceback to see where)")


def _wants_traceback() -> bool:
    return "--traceback" in sys.argv


@click.group(
    cls=Program,
    name=settings.APP,
    params=[*shared_options(hidden=False)],
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=False,
)
@click.version_option(agentrecord.__version__, prog_name=settings.APP, message="%(prog)s %(version)s")
def program() -> None:
    """The system of record for AI agents: what they did, what it cost, where it failed."""


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    program.main(prog_name=settings.APP)


if __name__ == "__main__":
    main()
