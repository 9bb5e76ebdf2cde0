"""How a command on a record begins, where a page or a message tells somebody else to type it."""

import pytest

from agentrecord.cli.settings import Settings, resolve_url


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("/data/my record.db", "agentrecord --db '/data/my record.db'"),
        ("sqlite:////data/my.db", "agentrecord --db /data/my.db"),
        ("postgresql://ana:secret@db/record", "agentrecord"),
        ("memory:", "agentrecord"),
    ],
)
def test_a_command_names_the_file_and_never_a_password(url: str, command: str) -> None:
    assert Settings(url=url).command == command


def test_the_usual_file_is_not_named_unless_the_environment_made_it_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTRECORD_URL", raising=False)
    assert Settings(url=resolve_url(None)).command == "agentrecord"
    monkeypatch.setenv("AGENTRECORD_URL", "/data/other.db")
    assert Settings(url=resolve_url(None)).command == "agentrecord --db /data/other.db"
