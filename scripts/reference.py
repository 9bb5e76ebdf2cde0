"""Write operations.md, commands.md and filters.md in docs/reference from the code.

    python scripts/reference.py

A test holds the files against what this writes.
"""

import inspect
from pathlib import Path

import click
from click.testing import CliRunner

from agentrecord.cli.main import program as cli
from agentrecord.records.measures import WordKind
from agentrecord.store import groups
from agentrecord.store._faces import Face, operations_of
from agentrecord.store.words import AGENT_WORDS, GROUP_WORDS, RUN_WORDS, SESSION_WORDS, SPAN_WORDS, USER_WORDS

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
OPERATIONS_HEAD = """# Operations

What a `Store` can do, by group; an `AsyncStore` has the same, awaited. Each call is one transaction: all of it is
stored, or nothing. *Role* is the least that a scope needs. Generated from the code.
"""
COMMANDS_HEAD = """# Commands

What `agentrecord --help` and `agentrecord COMMAND --help` say. Generated from the code.
"""
FILTERS_HEAD = """# Filters

One language finds runs, sessions, agents, users and errors everywhere: in the filter box of the lists, as `q` of the
lists of the API (`/api/runs`, `/api/agents`, `/api/errors/groups` …), as `RunFilter(query=…)`,
`SessionFilter(query=…)` and `query=…` in the library, and as the arguments of `agentrecord runs`, `sessions`,
`agents`, `users` and `errors`. `agentrecord tail` takes it too. Generated from the code.

| written | means |
|---|---|
| `status:error user:bob` | both must hold |
| `status:error,cancelled` | one of them |
| `-user:bob` | not this; what is not known stays |
| `model:claude-*` | `*` stands for anything, and case does not matter then |
| `user:"Bob *"` | quotes make it literal: spaces, commas and `*`; `\\"` is a quote |
| `cost:>0.05`, `cost:>=0.05`, `cost:<1`, `cost:<=1` | compared |
| `tools:1..5`, `tools:1..`, `tools:..5` | from and to, both included |
| `refund`, `"refund failed"`, `ref*led` | text: a word, words side by side, with anything between; in any case |

Sums of money are dollars (`0.05`, `$3`). Counts take `k`, `M` and `B` (`10k`). Lengths of time need a unit: `ms`, `s`,
`m`, `h` or `d` (`2.5s`). Times are UTC: `2026-01-31` is that whole day, `2026-01-31T12:00` an instant, with `+02:00`
after it one of another zone. What is not known (a run that has not ended has no duration, calls without a price no
cost) fits no value.

A word that a list does not know, or a value that it cannot be, is refused with the reason; nothing is shown then.
A text that holds a colon is put in quotes: `"error: bad"`.
"""
PIECES = """Pieces of a run

In the box of a run's page, as `q` of `/api/runs/{run}/spans`, as `query` of `store.pages.run_tree` and as `--find` of
`agentrecord run`. Text is looked for in names, errors, arguments, results, answers and the data of events. `attr.KEY`
is the member `KEY` of arguments, parameters, usage, metadata, the data of events, and the attributes of spans that were
sent; dots lead into members: `attr.place.zip:75001`. What is found is shown with the pieces that it is in."""
KINDS = {
    WordKind.TEXT: "text",
    WordKind.CHOICE: "one of a set",
    WordKind.COUNT: "a count",
    WordKind.MONEY: "dollars",
    WordKind.DURATION: "a length of time",
    WordKind.MOMENT: "a date or an instant",
}


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


def filters() -> str:
    """Return the reference of the words of all filters."""
    parts = [FILTERS_HEAD]
    lists = (
        ("Runs", RUN_WORDS.known), ("Sessions", SESSION_WORDS.known), ("Agents", AGENT_WORDS.known),
        ("Users", USER_WORDS.known), ("Groups of errors", GROUP_WORDS.known), (PIECES, SPAN_WORDS),
    )  # fmt: skip
    for name, words in lists:
        parts.append(f"\n## {name}\n\n| word | values | finds | example |\n|---|---|---|---|\n")
        for word in words.values():
            values = ", ".join(f"`{choice}`" for choice in word.choices) or KINDS[word.kind]
            parts.append(f"| `{word.name}` | {values} | {word.help} | `{word.example}` |\n")
    return "".join(parts)


def commands() -> str:
    """Return the reference of all commands."""
    parts = [COMMANDS_HEAD]

    def describe(command: click.Command, words: tuple[str, ...]) -> None:
        told = CliRunner().invoke(cli, [*words[1:], "--help"], prog_name="agentrecord", terminal_width=100)
        said = "\n".join(line.rstrip() for line in told.stdout.splitlines())
        parts.append(f"\n## {' '.join(words)}\n\n```text\n{said}\n```\n")
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                if below is not None and not below.hidden:
                    describe(below, (*words, name))

    describe(cli, ("agentrecord",))
    return "".join(parts)


def main() -> None:
    """Write the files."""
    for name, text in (("operations.md", operations()), ("commands.md", commands()), ("filters.md", filters())):
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
