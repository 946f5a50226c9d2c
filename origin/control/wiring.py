"""What the control API is made of, from what an origin has: stores, rows, and the loop of webhooks."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starlette.routing import BaseRoute

from keys.addresses import Network
from keys.client import KeysClient
from keys.secrets import read_issuer
from origin.access import AdminAccess
from origin.api import AssetJobs
from origin.control.admin import TokenOperations, WebhookOperations
from origin.control.api import routes
from origin.control.assets import AssetOperations
from origin.control.links import LinkOperations
from origin.control.operation import Operation
from origin.control.playing import PlayingOperations
from origin.control.repeats import Repeats
from origin.control.router import Router
from origin.control.sealing import Sealer
from origin.control.tokens import ApiTokens
from origin.hooks.dispatcher import Dispatcher
from origin.hooks.sending import Sender
from origin.hooks.store import Webhooks
from origin.metrics import Metrics
from origin.store.catalogue import Catalogue
from origin.uploads import Uploads


def _nobody() -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Control:
    """What the API needs besides: `keys` with the admin token, the key of links, whom webhooks may reach.

    `edges` answers the public base URLs of the edges that are known now. The client is closed by its maker.
    """

    keys: KeysClient
    issuer: Path  # issuer.json; where there is none, links are signed elsewhere
    edges: Callable[[], Sequence[str]] = _nobody
    webhook_networks: Sequence[Network] = ()
    sender: Sender | None = field(default=None)  # another one, for tests


class ControlApi:
    """The API over one catalogue."""

    def __init__(
        self,
        given: Control,
        *,
        catalogue: Catalogue,
        jobs: AssetJobs,
        uploads: Uploads,
        metrics: Metrics,
        access: AdminAccess,
        admin_token: str,
        tokens: ApiTokens,
        now: Callable[[], float] = time.time,
    ) -> None:
        sealer = Sealer(admin_token)
        hooks = Webhooks(catalogue.database, sealer, now)
        sender = given.sender or Sender(given.webhook_networks)
        self.dispatcher = Dispatcher(hooks, sender, now=now, count=metrics.count)
        self.operations: list[Operation] = [
            *AssetOperations(catalogue, jobs, uploads, metrics, now).rows(),
            *LinkOperations(catalogue, lambda: read_issuer(given.issuer), given.edges, now).rows(),
            *PlayingOperations(given.keys).rows(),
            *WebhookOperations(hooks, sender, self.dispatcher).rows(),
            *TokenOperations(tokens, now).rows(),
        ]
        self._router = Router(self.operations, access, Repeats(catalogue.database, sealer, now))

    def routes(self) -> list[BaseRoute]:
        """What the application mounts."""
        return routes(self.operations, self._router)
