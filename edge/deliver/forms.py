"""In which forms downloads leave, and what serves each: plain, or encrypted for the session."""

from collections.abc import Mapping
from typing import Protocol

from starlette.types import Receive, Send

from edge.deliver.answer import Request
from edge.deliver.cors import Headers
from edge.deliver.download import Downloads
from edge.deliver.path import Route
from edge.deliver.protected import Protected
from edge.deliver.serving import Serving
from keys.leases import Lease


class ServesFiles(Protocol):
    """Serves downloads in one form, and refuses those that leave in another."""

    async def serve(
        self, route: Route, request: Request, lease: Lease, receive: Receive, send: Send, extra: Headers
    ) -> int:
        """Answers one request; the status it got. `extra` are the headers every answer carries."""
        ...


def forms(serving: Serving) -> Mapping[str, ServesFiles]:
    """What serves the downloads of one worker, by the protection their address names: "" is plain."""
    return {"": Downloads(serving), "ece": Protected(serving)}
