"""Commands that take the words of a filter as arguments: `agentrecord runs status:error -user:bob`."""

import re

import click

_EXCLUDED = re.compile(r"-[A-Za-z][A-Za-z0-9_.-]*:\S")


class FilteredCommand(click.Command):
    """A command whose argument `text` is a filter: what is excluded, `-user:bob`, is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep excluding words apart from the options; the order of a filter's words does not matter."""
        ends = args.index("--") if "--" in args else len(args)
        excluded = [word for word in args[:ends] if _EXCLUDED.match(word)]
        left = super().parse_args(ctx, [word for word in args[:ends] if word not in excluded] + args[ends:])
        ctx.params["text"] = (*ctx.params.get("text", ()), *excluded)
        return left
