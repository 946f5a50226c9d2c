"""API tokens: made, listed, revoked, and recognised.

A token is `slc_` and 32 random bytes in base64url. Stored is its SHA-256 alone: found by that hash, so what
is compared is not what a guesser chooses, and a copy of the database lets nobody in. They lie in the
catalogue's database, because the origin alone is asked with them.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, or_, select, update

from keys.database import Database
from keys.names import b64url
from keys.problems import Problem
from origin.control.scopes import scopes as parsed_scopes
from origin.control.tables import api_tokens

PREFIX: Final = "slc_"
USED_EVERY_S: Final = 60.0  # `last_used` is written at most this often
MOST: Final = 1000  # tokens that are good at one time

_ID: Final = "tok_"  # begins an ID, so that no name is one
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TEXT = re.compile(r"slc_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token as it is listed: everything but the token."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created: float  # seconds since the epoch, as all times here
    expires: float | None
    last_used: float | None
    revoked: float | None

    def good(self, now: float) -> bool:
        """Whether it opens anything now."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def state(self, now: float) -> str:
        """good, expired or revoked."""
        return "revoked" if self.revoked is not None else "good" if self.good(now) else "expired"


class ApiTokens:
    """The tokens of an installation."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def add(
        self, name: str, wanted: Iterable[str], expires_in_s: float | None = None
    ) -> tuple[ApiToken, str]:
        """A new token, and its text: nobody can be told that again. Problem invalid or conflict."""
        if not _NAME.fullmatch(name) or name.startswith(_ID):
            rule = f"A token's name is 1 to 64 of A-Z, a-z, 0-9, `.`, _ and -, and does not begin with {_ID}."
            raise Problem("invalid", rule)
        try:
            allowed = parsed_scopes(wanted)
        except ValueError as exc:
            raise Problem("invalid", f"{str(exc)[:1].upper()}{str(exc)[1:]}.") from exc
        now = self._now()
        text = PREFIX + b64url(secrets.token_bytes(32))
        made = ApiToken(
            _ID + secrets.token_hex(8),
            name,
            allowed,
            now,
            None if expires_in_s is None else now + expires_in_s,
            None,
            None,
        )
        good = _good(now)
        async with self._database.write("api tokens") as connection:
            names = list(await connection.scalars(select(api_tokens.c.name).where(good)))
            if name in names:
                raise Problem("conflict", f"There is a token “{name}” already. Revoke it, or choose a name.")
            if len(names) >= MOST:
                raise Problem("conflict", f"There are {MOST} tokens already. Revoke some of them.")
            row = {field: getattr(made, field) for field in ApiToken.__slots__} | {"scopes": list(allowed)}
            await connection.execute(api_tokens.insert().values(**row, hash=_hash(text)))
        return made, text

    async def list(self) -> list[ApiToken]:
        """Every token there was, the newest first."""
        query = select(api_tokens).order_by(api_tokens.c.created.desc(), api_tokens.c.id)
        async with self._database.read() as connection:
            return [_token(row) for row in await connection.execute(query)]

    async def get(self, id: str) -> ApiToken:
        """The token of this ID, also one that is no good any more. Problem not_found."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_tokens).where(api_tokens.c.id == id))).first()
        if row is None:
            raise Problem("not_found", "There is no such token.")
        return _token(row)

    async def revoke(self, id_or_name: str) -> ApiToken:
        """Take back a good token, at once and for ever. Problem not_found when there is none."""
        now = self._now()
        meant = or_(api_tokens.c.id == id_or_name, api_tokens.c.name == id_or_name)
        marked = update(api_tokens).where(meant, api_tokens.c.revoked.is_(None)).values(revoked=now)
        async with self._database.write() as connection:
            row = (await connection.execute(marked.returning(api_tokens))).first()
        if row is None:
            raise Problem("not_found", "There is no such token that could be revoked.")
        return _token(row)

    async def check(self, text: str) -> ApiToken:
        """The good token that this is. Problem unauthenticated, in a sentence that says what to do."""
        if not _TEXT.fullmatch(text):
            raise Problem("unauthenticated", "This is no API token.")
        digest, now = _hash(text), self._now()
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_tokens).where(api_tokens.c.hash == digest))).first()
        if row is None or not hmac.compare_digest(row.hash, digest):
            raise Problem("unauthenticated", "There is no such API token.")
        token = _token(row)
        if not token.good(now):
            raise Problem("unauthenticated", f"This API token is {token.state(now)}. Ask for another one.")
        if token.last_used is None or now - token.last_used >= USED_EVERY_S:
            used = update(api_tokens).where(api_tokens.c.id == token.id).values(last_used=now)
            async with self._database.write() as connection:
                await connection.execute(used)
        return token


def _good(now: float) -> Any:
    return api_tokens.c.revoked.is_(None) & or_(api_tokens.c.expires.is_(None), api_tokens.c.expires > now)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _token(row: Row[Any]) -> ApiToken:
    values = {field: getattr(row, field) for field in ApiToken.__slots__}
    return ApiToken(**values | {"scopes": tuple(values["scopes"])})
