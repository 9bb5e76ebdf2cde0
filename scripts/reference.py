"""Write docs/reference/operations.md and docs/reference/commands.md from the code.

    python scripts/reference.py

A test holds the files against what this writes.
"""

import inspect
from pathlib import Path

import click

from agentrecord.cli.main import program as cli
from agentrecord.store import groups
from agentrecord.store._faces import Face, operations_of

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
OPERATIONS_HEAD = """# Operations

What a `Store` can do, by group; an `AsyncStore` has the same, awaited. Each call is one transaction: all of it is
stored, or nothing. *Role* is the least that a scope needs. Generated from the code.
"""
COMMANDS_HEAD = """# Commands

What `agentrecord --help` and `agentrecord COMMAND --help` say. Generated from the code.
"""


def operations() -> str:
    """Return the reference of all operations."""
    parts = [OPERATIONS_HEAD]
    found = [g for g in vars(groups).values() if inspect.isclass(g) and issubclass(g, Face) and g is not Face]
    for group in found:
        attribute = "".join(f"_{c.lower()}" if c.isupper() else c for c in group.__name__).lstrip("_")
        attribute = attribute.replace("l_l_m_calls", "llm_calls")
        parts.append(f"\n## store.{attribute}\n\n{inspect.getdoc(group)}\n")
        for name, operation in operations_of(group):
            signature = inspect.signature(operation.function)
            shown = signature.replace(
                parameters=[
                    p.replace(annotation=inspect.Parameter.empty) for p in list(signature.parameters.values())[2:]
                ],
                return_annotation=inspect.Signature.empty,
            )
            kind = "writes" if operation.writes else "reads"
            parts.append(f"\n### {name}{shown}\n\n*{kind}, role {operation.role}*\n\n{inspect.getdoc(operation)}\n")
    return "".join(parts)


def commands() -> str:
    """Return the reference of all commands."""
    parts = [COMMANDS_HEAD]

    def describe(command: click.Command, words: tuple[str, ...]) -> None:
        parent = click.Context(
            cli, info_name="agentrecord", terminal_width=100, max_content_width=100, help_option_names=["-h", "--help"]
        )
        for word in words[1:-1]:
            parent = click.Context(command, info_name=word, parent=parent, terminal_width=100, max_content_width=100)
        context = (
            parent
            if len(words) == 1
            else click.Context(command, info_name=words[-1], parent=parent, terminal_width=100, max_content_width=100)
        )
        said = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"\n## {' '.join(words)}\n\n```text\n{said}\n```\n")
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                if below is not None and not below.hidden:
                    describe(below, (*words, name))

    describe(cli, ("agentrecord",))
    return "".join(parts)


def main() -> None:
    """Write both files."""
    for name, text in (("operations.md", operations()), ("commands.md", commands())):
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
