"""Tokens and webhooks in the API. Tokens are the admin token's business alone."""

from collections.abc import Callable

from pydantic import Field

from origin.control.admin_models import (
    DeliveryList,
    DeliveryView,
    TokenList,
    TokenMade,
    TokenRequest,
    TokenView,
    WebhookList,
    WebhookMade,
    WebhookRequest,
    WebhookView,
    delivery_view,
    token_view,
    webhook_view,
)
from origin.control.operation import BASE, Call, Model, Operation, Reply, invalid
from origin.control.scopes import ADMIN
from origin.control.tokens import ApiTokens
from origin.hooks.dispatcher import Dispatcher
from origin.hooks.events import events
from origin.hooks.sending import Sender
from origin.hooks.store import Webhooks


class LatestQuery(Model):
    """How many."""

    limit: int = Field(default=50, ge=1, le=500)


class TokenOperations:
    """The rows of tokens."""

    def __init__(self, tokens: ApiTokens, now: Callable[[], float]) -> None:
        self._tokens = tokens
        self._now = now

    def rows(self) -> list[Operation]:
        """In the order of the document."""
        return [
            Operation(
                "GET", "/tokens", "listTokens", "tokens", ADMIN, "List API tokens",
                self.list, answer=TokenList,
            ),
            Operation(
                "POST", "/tokens", "addToken", "tokens", ADMIN, "Make an API token",
                self.add, body=TokenRequest, answer=TokenMade, status=201, problems=(409,),
                example={"name": "cms", "scopes": ["assets:read", "uploads", "links"]},
            ),
            Operation(
                "GET", "/tokens/{id}", "getToken", "tokens", ADMIN, "Read an API token, by its ID",
                self.get, answer=TokenView, problems=(404,),
            ),
            Operation(
                "POST", "/tokens/{id}/revoke", "revokeToken", "tokens", ADMIN,
                "Revoke an API token, by ID or name, at once and for ever",
                self.revoke, answer=TokenView, problems=(404,),
            ),
        ]  # fmt: skip

    async def list(self, call: Call) -> Reply:
        """`GET /tokens`."""
        now = self._now()
        return Reply(TokenList(items=[token_view(token, now) for token in await self._tokens.list()]))

    async def add(self, call: Call) -> Reply:
        """`POST /tokens`."""
        asked = call.sent(TokenRequest)
        made, text = await self._tokens.add(asked.name, asked.scopes, asked.expires_in_s)
        known = token_view(made, self._now()).model_dump()
        return Reply(TokenMade(**known, token=text), {"location": f"{BASE}/tokens/{made.id}"})

    async def get(self, call: Call) -> Reply:
        """`GET /tokens/{id}`."""
        return Reply(token_view(await self._tokens.get(_plain(call.path["id"])), self._now()))

    async def revoke(self, call: Call) -> Reply:
        """`POST /tokens/{id}/revoke`."""
        return Reply(token_view(await self._tokens.revoke(_plain(call.path["id"])), self._now()))


class WebhookOperations:
    """The rows of webhooks."""

    def __init__(self, hooks: Webhooks, sender: Sender, dispatcher: Dispatcher) -> None:
        self._hooks = hooks
        self._sender = sender
        self._dispatcher = dispatcher

    def rows(self) -> list[Operation]:
        """In the order of the document."""
        tag, one = "webhooks", "/webhooks/{id}"
        return [
            Operation(
                "GET", "/webhooks", "listWebhooks", tag, tag, "List webhooks",
                self.list, answer=WebhookList,
            ),
            Operation(
                "POST", "/webhooks", "addWebhook", tag, tag, "Add a webhook",
                self.add, body=WebhookRequest, answer=WebhookMade, status=201, problems=(409,),
                example={"url": "https://cms.example/sluice", "events": ["asset.published", "asset.failed"]},
            ),
            Operation(
                "GET", one, "getWebhook", tag, tag, "Read a webhook",
                self.get, answer=WebhookView, problems=(404,),
            ),
            Operation(
                "DELETE", one, "removeWebhook", tag, tag, "Remove a webhook",
                self.remove, status=204, problems=(404,),
            ),
            Operation(
                "POST", one + "/enable", "enableWebhook", tag, tag, "Let messages go to a disabled one again",
                self.enable, answer=WebhookView, problems=(404,),
            ),
            Operation(
                "POST", one + "/test", "testWebhook", tag, tag, "Send it a message now",
                self.test, answer=DeliveryView, problems=(404,),
            ),
            Operation(
                "GET", one + "/deliveries", "listDeliveries", tag, tag, "List what was sent to it",
                self.deliveries, query=LatestQuery, answer=DeliveryList, problems=(404,),
            ),
        ]  # fmt: skip

    async def list(self, call: Call) -> Reply:
        """`GET /webhooks`."""
        return Reply(WebhookList(items=[webhook_view(hook) for hook in await self._hooks.all()]))

    async def add(self, call: Call) -> Reply:
        """`POST /webhooks`."""
        asked = call.sent(WebhookRequest)
        try:
            await self._sender.check(asked.url)
        except ValueError as exc:
            raise invalid(str(exc)) from exc
        made, secret = await self._hooks.add(asked.url, events(asked.events))
        known = webhook_view(made).model_dump()
        return Reply(WebhookMade(**known, secret=secret), {"location": f"{BASE}/webhooks/{made.id}"})

    async def get(self, call: Call) -> Reply:
        """`GET /webhooks/{id}`."""
        return Reply(webhook_view(await self._hooks.get(_plain(call.path["id"]))))

    async def remove(self, call: Call) -> Reply:
        """`DELETE /webhooks/{id}`."""
        await self._hooks.remove(_plain(call.path["id"]))
        return Reply()

    async def enable(self, call: Call) -> Reply:
        """`POST /webhooks/{id}/enable`."""
        return Reply(webhook_view(await self._hooks.enable(_plain(call.path["id"]))))

    async def test(self, call: Call) -> Reply:
        """`POST /webhooks/{id}/test`."""
        message = await self._hooks.test(_plain(call.path["id"]))
        return Reply(delivery_view(await self._dispatcher.send(message)))

    async def deliveries(self, call: Call) -> Reply:
        """`GET /webhooks/{id}/deliveries`."""
        hook = await self._hooks.get(_plain(call.path["id"]))
        found = await self._hooks.messages(hook.id, call.queried(LatestQuery).limit)
        return Reply(DeliveryList(items=[delivery_view(each) for each in found]))


def _plain(text: str) -> str:
    """A part of the path as a name that can be looked for; what can be none is one nobody has."""
    return text if text.isascii() and text.isprintable() and len(text) <= 64 else ""
