"""The server: the REST API and the dashboard over one record."""

from agentrecord.server.app import build_app

__all__ = ["build_app"]
