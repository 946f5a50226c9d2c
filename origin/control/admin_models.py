"""Tokens and webhooks as the API takes and gives them. Pure."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from origin.control.operation import Model
from origin.control.scopes import Scope
from origin.control.tokens import ApiToken
from origin.hooks.events import Event
from origin.hooks.store import Delivery, Webhook

LONGEST_S = 10 * 365 * 86_400


class TokenRequest(Model):
    """A token that is wanted."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    scopes: list[Scope] = Field(min_length=1, max_length=20)
    expires_in_s: int | None = Field(
        default=None, ge=1, le=LONGEST_S, description="null: it does not expire."
    )


class TokenView(Model):
    """A token; never its text."""

    id: str
    name: str
    scopes: list[str]
    state: Literal["good", "expired", "revoked"]
    created: float
    expires: float | None
    last_used: float | None = Field(description="To the minute.")
    revoked: float | None


class TokenMade(TokenView):
    """A new token, with its text."""

    token: str = Field(description="Shown here and nowhere again.")


class TokenList(Model):
    """Every token there was, the newest first."""

    items: list[TokenView]


class WebhookRequest(Model):
    """A webhook that is wanted."""

    url: Annotated[str, StringConstraints(min_length=8, max_length=1024, pattern=r"^https?://[!-~]+$")]
    events: list[Event] = Field(min_length=1, max_length=20)


class WebhookView(Model):
    """A webhook; never its secret."""

    id: str
    url: str
    events: list[str]
    state: Literal["well", "failing", "disabled"]
    created: float
    failing_since: float | None
    disabled: float | None
    reason: str = Field(description="Why it is disabled; else empty.")


class WebhookMade(WebhookView):
    """A new webhook, with its secret."""

    secret: str = Field(description="What its messages are signed with. Shown here and nowhere again.")


class WebhookList(Model):
    """Every webhook, the newest first."""

    items: list[WebhookView]


class DeliveryView(Model):
    """A message to a webhook."""

    id: str
    event: str
    state: Literal["waiting", "delivered", "given_up"]
    created: float
    attempts: int
    next_at: float | None = Field(description="When it is sent again, of a waiting one.")
    status: int = Field(description="What was answered last; 0: nothing.")
    error: str


class DeliveryList(Model):
    """The latest messages to a webhook, the newest first; kept for a week."""

    items: list[DeliveryView]


def token_view(token: ApiToken, now: float) -> TokenView:
    """The token as it is shown."""
    known = {name: getattr(token, name) for name in ApiToken.__slots__}
    return TokenView.model_validate(known | {"scopes": list(token.scopes), "state": token.state(now)})


def webhook_view(hook: Webhook) -> WebhookView:
    """The webhook as it is shown."""
    known = {name: getattr(hook, name) for name in Webhook.__slots__}
    state = "disabled" if hook.disabled is not None else "failing" if hook.failing_since else "well"
    return WebhookView.model_validate(known | {"events": list(hook.events), "state": state})


def delivery_view(message: Delivery) -> DeliveryView:
    """The message as it is shown."""
    known = {name: getattr(message, name) for name in DeliveryView.model_fields}
    return DeliveryView.model_validate(
        known | {"next_at": message.next_at if message.state == "waiting" else None}
    )
