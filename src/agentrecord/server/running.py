"""How uvicorn runs the application: turns are ended before connections are."""

import socket

import uvicorn
from fastapi import FastAPI

from agentrecord.agents.conversation import Conversations
from agentrecord.server.live import Hub


class Server(uvicorn.Server):
    """A server that, told to end, first ends its turns and live streams, so that their clients hear of it."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End turns and live streams, then connections, then the application."""
        app = self.config.loaded_app
        while app is not None and not isinstance(app, FastAPI):
            # uvicorn wraps the application that it was given.
            app = getattr(app, "app", None)
        conversations = getattr(getattr(app, "state", None), "conversations", None)
        if isinstance(conversations, Conversations):
            await conversations.close()
        hub = getattr(getattr(app, "state", None), "hub", None)
        if isinstance(hub, Hub):
            await hub.close()
        await super().shutdown(sockets)
