"""The tables beside the catalogue: API tokens, answers remembered for repeated requests, webhooks.

`origin.migrations` makes them; each store uses its own. Of a token only a hash is here; the secrets of
webhooks and remembered answers are wrapped (`origin.control.sealing`). `asset_events` is filled by triggers
on `assets`, so that a change of state and its event are one transaction, whoever makes it.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata: Final = MetaData()

api_tokens: Final = Table(
    "api_tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),  # SHA-256 of the text
    Column("scopes", JSON, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),  # None: it does not
    Column("last_used", Double),  # to the minute
    Column("revoked", Double),
)

repeats: Final = Table(
    "api_repeats",
    metadata,
    Column("caller", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),  # the Idempotency-Key
    Column("fingerprint", LargeBinary, nullable=False),  # SHA-256 of what was asked
    Column("created", Double, nullable=False),
    Column("claimed_until", Double, nullable=False),  # while it is being done
    Column("answer", LargeBinary),  # wrapped; None while it is being done
    Index("api_repeats_by_created", "created"),
)

asset_events: Final = Table(
    "asset_events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("event", String(32), nullable=False),
    Column("asset", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("error", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("duration", Double, nullable=False),
    Column("at", Double, nullable=False),
)

webhooks: Final = Table(
    "webhooks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("url", Text, nullable=False),
    Column("events", JSON, nullable=False),
    Column("secret", LargeBinary, nullable=False),  # wrapped
    Column("created", Double, nullable=False),
    Column("failing_since", Double),  # None after a success
    Column("disabled", Double),
    Column("reason", Text, nullable=False),  # a sentence; empty while it is well
)

deliveries: Final = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("webhook", String(32), ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("event", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("state", String(16), nullable=False),  # waiting, delivered, given_up
    Column("attempts", Integer, nullable=False),
    Column("next_at", Double, nullable=False),  # of a waiting one; while it is being sent, the end of that
    Column("status", Integer, nullable=False),  # of the last answer; 0: there was none
    Column("error", Text, nullable=False),
    Index("webhook_deliveries_waiting", "state", "next_at"),
    Index("webhook_deliveries_by_webhook", "webhook", "created"),
)
