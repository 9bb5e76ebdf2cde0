"""`agentrecord completion`: what a shell needs to complete commands and options."""

import click
from click.shell_completion import get_completion_class

from agentrecord.cli.settings import APP
from agentrecord.cli.terminal import say


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      eval "$(agentrecord completion bash)"
      agentrecord completion fish > ~/.config/fish/completions/agentrecord.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"there is no completion for {shell}")
    say(found(context.find_root().command, {}, APP, "_AGENTRECORD_COMPLETE").source())
