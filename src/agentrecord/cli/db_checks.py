"""What `agentrecord db doctor`, `check` and `verify` look at, each as a finding."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any  # `Any`: looks are keywords of several types

from agentrecord.cli.output import Column, Listing
from agentrecord.store.doctor import Finding, Level


def _look(finding: Finding) -> dict[str, Any]:
    return {Level.OK: {"fg": "green"}, Level.WARNING: {"fg": "yellow"}, Level.FAILED: {"fg": "red"}}[finding.level]


def listing(found: Sequence[Finding]) -> Listing[Finding]:
    """Return findings as a listing."""
    return Listing(
        columns=[
            Column(name="check", value=lambda finding: finding.check),
            Column(name="level", title="", value=lambda finding: finding.level, look=_look),
            Column(name="told", title="", value=lambda finding: finding.told),
        ],
        rows=found,
    )


def outcome(check: str, faults: Iterable[str], right: str, *, shown: int = 20) -> Iterator[Finding]:
    """Yield one finding for each fault, or one that says that all is right."""
    known = list(faults)
    for fault in known[:shown]:
        yield Finding(check=check, level=Level.FAILED, told=fault)
    if len(known) > shown:
        yield Finding(check=check, level=Level.FAILED, told=f"and {len(known) - shown:,} more")
    if not known:
        yield Finding(check=check, level=Level.OK, told=right)
