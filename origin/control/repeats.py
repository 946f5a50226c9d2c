"""Idempotency-Key: a POST sent again with the same key is not done again, but answered as the first time.

Remembered for a day, for each caller, successes only: what was refused did nothing and may be tried anew.
While the first is being done a second one is told so (409); the same key for another request is refused
(422). Answers may hold secrets, so they are wrapped.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, select, update

from keys.cipher import BadWrap
from keys.database import Database
from keys.derive import enc
from keys.names import b64url, b64url_decode
from keys.problems import Problem
from origin.control.sealing import Sealer
from origin.control.tables import repeats

KEPT_S: Final = 86_400.0
CLAIMED_S: Final = 3600.0  # a process that died in the middle frees the key after this

_KEY = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer as it went out."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def parsed_key(text: str | None) -> str | None:
    """The key in that header; None without one. Problem bad_request."""
    if text is None:
        return None
    if not _KEY.fullmatch(text):
        raise Problem("bad_request", "An Idempotency-Key is 1 to 255 printable characters of ASCII.")
    return text


def fingerprint(method: str, target: str, body: bytes) -> bytes:
    """What the request asks for, in 32 bytes."""
    return hashlib.sha256(enc("sluice1 repeat", method, target, body)).digest()


class Repeats:
    """The memory of them."""

    def __init__(self, database: Database, sealer: Sealer, now: Callable[[], float]) -> None:
        self._database = database
        self._sealer = sealer
        self._now = now

    async def begin(self, caller: str, key: str, asked: bytes) -> Remembered | None:
        """None when it is to be done now; else the answer. Problem conflict while another does it, invalid
        when it was another request's key.
        """
        now = self._now()
        row = {"caller": caller, "key": key, "fingerprint": asked, "created": now}
        row["claimed_until"] = now + CLAIMED_S
        mine = (repeats.c.caller == caller) & (repeats.c.key == key)
        async with self._database.write("repeats", caller, key) as connection:
            await connection.execute(delete(repeats).where(repeats.c.created < now - KEPT_S))
            if await self._database.insert_once(connection, repeats, row):
                return None
            found = (await connection.execute(select(repeats).where(mine))).one()
            if found.fingerprint == asked and found.answer is None and found.claimed_until <= now:
                await connection.execute(update(repeats).where(mine).values(row))
                return None
        if found.fingerprint != asked:
            raise Problem("invalid", "This Idempotency-Key was another request's. Use a new one.")
        if found.answer is None:
            raise Problem("conflict", "The first request with this Idempotency-Key is still being done.")
        return self._read(caller, key, found.answer)

    async def done(self, caller: str, key: str, answer: Remembered) -> None:
        """Remember what was answered."""
        fields: dict[str, Any] = {"status": answer.status, "headers": dict(answer.headers)}
        fields["body"] = b64url(answer.body)
        sealed = self._sealer.seal(json.dumps(fields).encode(), "repeat", caller, key)
        await self._change(caller, key, update(repeats).values(answer=sealed))

    async def forget(self, caller: str, key: str) -> None:
        """It was refused: the key is free again."""
        await self._change(caller, key, delete(repeats))

    async def _change(self, caller: str, key: str, statement: Any) -> None:
        async with self._database.write() as connection:
            await connection.execute(statement.where(repeats.c.caller == caller, repeats.c.key == key))

    def _read(self, caller: str, key: str, sealed: bytes) -> Remembered:
        try:
            fields = json.loads(self._sealer.open(sealed, "repeat", caller, key))
        except BadWrap:
            sentence = "This was done, but its answer cannot be read any more. Use a new Idempotency-Key."
            raise Problem("conflict", sentence) from None
        return Remembered(fields["status"], fields["headers"], b64url_decode(fields["body"]))
