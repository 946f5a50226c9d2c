"""The control API: tokens, remembered answers, and webhooks with the events they tell."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMNS = "event, asset, title, state, error, generation, duration, at"
_ROW = "{row}.id, {row}.title, {state}, {row}.error, {row}.generation, {row}.duration, {at}"
_NOW = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from clock_timestamp())",
}


def upgrade() -> None:
    """Make the tables, and the triggers that note what becomes of assets."""
    _tables()
    dialect = op.get_bind().dialect.name
    inserted = f"'asset.created', {_ROW.format(row='NEW', state='NEW.state', at='NEW.created')}"
    updated = f"'asset.' || NEW.state, {_ROW.format(row='NEW', state='NEW.state', at='NEW.updated')}"
    gone = _ROW.format(row="OLD", state="'deleted'", at=_NOW[dialect])
    deleted = f"'asset.deleted', {gone}"
    if dialect == "sqlite":
        for when, values in (
            ("INSERT ON assets", inserted),
            ("UPDATE OF state ON assets WHEN NEW.state <> OLD.state", updated),
            ("DELETE ON assets", deleted),
        ):
            name = f"assets_told_{when.split()[0].lower()}"
            op.execute(f"CREATE TRIGGER {name} AFTER {when} BEGIN {_note(values)} END")
        return
    op.execute(
        "CREATE FUNCTION assets_told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'INSERT' THEN {_note(inserted)} "
        f"ELSIF TG_OP = 'DELETE' THEN {_note(deleted)} "
        f"ELSIF NEW.state <> OLD.state THEN {_note(updated)} "
        "END IF; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER assets_told AFTER INSERT OR UPDATE OF state OR DELETE ON assets "
        "FOR EACH ROW EXECUTE FUNCTION assets_told()"
    )


def _note(values: str) -> str:
    return f"INSERT INTO asset_events ({_COLUMNS}) VALUES ({values});"  # noqa: S608 (constants of this file)


def _tables() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("last_used", sa.Double),
        sa.Column("revoked", sa.Double),
    )
    op.create_table(
        "api_repeats",
        sa.Column("caller", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("claimed_until", sa.Double, nullable=False),
        sa.Column("answer", sa.LargeBinary),
    )
    op.create_index("api_repeats_by_created", "api_repeats", ["created"])
    op.create_table(
        "asset_events",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("asset", sa.String(64), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("duration", sa.Double, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("failing_since", sa.Double),
        sa.Column("disabled", sa.Double),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("webhook", sa.String(32), sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )
    op.create_index("webhook_deliveries_waiting", "webhook_deliveries", ["state", "next_at"])
    op.create_index("webhook_deliveries_by_webhook", "webhook_deliveries", ["webhook", "created"])
