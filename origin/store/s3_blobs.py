"""A BlobStore in a bucket of an S3-compatible server: <prefix>/<asset>/<generation>/<rendition>/<object>.

Objects up to a part's size are put at once, larger ones in parts (`s3_multipart`), both only where the name
is free (If-None-Match). A name that is taken must hold the same bytes, which are read back to see it
(SECURITY K1). Of a server that ignores the condition the last writer wins; the catalogue's digest, recorded
once, then refuses the second (`Catalogue.record_object`), and `sluice doctor` finds it. Nothing half-written
is ever visible.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, Final, Self

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from keys.names import asset_id, object_name, rendition_id
from keys.problems import Problem
from origin.store.blobs import PIECE, StoredObject
from origin.store.s3_address import S3Address, S3Login
from origin.store.s3_multipart import AWAY, NO_BUCKET, REFUSED, Multiparts

PART: Final = 16 << 20  # bytes; S3 takes 10 000 parts, so an object may have 156 GiB
RETRIES: Final = 5
RETRY_S: Final = 60
CONNECT_S: Final = 5
ANSWER_S: Final = 60


class S3Blobs:
    """A BlobStore in a bucket. `close()` when done."""

    def __init__(self, address: S3Address, login: S3Login) -> None:
        self.prefix = address.prefix
        self.multiparts = Multiparts(address, login)
        self.store = S3Store(
            address.bucket,
            prefix=address.prefix or None,
            endpoint=address.endpoint,
            region=address.region,
            access_key_id=login.access_key,
            secret_access_key=login.secret_key,
            virtual_hosted_style_request=False,
            conditional_put="etag",
            client_options={
                "allow_http": address.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "read_timeout": timedelta(seconds=ANSWER_S),
                "timeout": timedelta(hours=1),
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)},
            config={"session_token": login.token} if login.token else {},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.multiparts.close()

    async def sweep(self, now: float) -> None:
        """Abort uploads whose writer is gone for a day. `now` is seconds since the epoch."""
        await self.multiparts.sweep(f"{self.prefix}/" if self.prefix else "", now)

    def writer(self, asset: str, generation: int, rendition: str, name: str) -> "S3Writer":
        """A writer for one object of unknown length."""
        return S3Writer(self, _key(asset, generation, rendition, name))

    async def put(self, asset: str, generation: int, rendition: str, name: str, data: bytes) -> bytes:
        """Store a small object whole; its SHA-256. Problem conflict."""
        async with self.writer(asset, generation, rendition, name) as writer:
            await writer.write(data)
            return await writer.commit()

    async def size(self, asset: str, generation: int, rendition: str, name: str) -> int:
        """Stored bytes of an object. Problem not_found."""
        with _said():
            return (await obstore.head_async(self.store, _key(asset, generation, rendition, name)))["size"]

    async def read(
        self, asset: str, generation: int, rendition: str, name: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Bytes `start` up to `end`, in pieces. Problem not_found, or bad_upstream when bytes are missing."""
        key = _key(asset, generation, rendition, name)
        stop = await self.size(asset, generation, rendition, name) if end is None else end
        while start < stop:  # a part at a time: a slow reader holds no answer of the server open for long
            upto = min(start + PART, stop)
            async for piece in self._span(key, start, upto):
                yield piece
            start = upto

    async def _span(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        with _said():
            answer = await obstore.get_async(self.store, key, options={"range": (start, stop)})
            left = stop - start
            held = bytearray()
            async for chunk in answer.stream(min_chunk_size=PIECE):
                held += memoryview(chunk)
                while len(held) >= PIECE:
                    left -= PIECE
                    yield bytes(held[:PIECE])
                    del held[:PIECE]
            left -= len(held)
            if left:
                raise Problem("bad_upstream", "A stored object is shorter than it was.", detail=key)
            if held:
                yield bytes(held)

    async def objects(self, asset: str, generation: int) -> list[StoredObject]:
        """What a generation holds, by name."""
        found = []
        async for meta in self._under(_generation(asset, generation)):
            *_, rendition, name = meta["path"].split("/")
            found.append(StoredObject(rendition, name, meta["size"]))
        return sorted(found, key=lambda each: (each.rendition, each.name))

    async def generations(self, asset: str) -> list[int]:
        """The generations of an asset that hold anything."""
        return sorted(int(name) for name in await self._folders(asset_id(asset)) if name.isdigit())

    async def assets(self) -> list[str]:
        """The assets that hold anything, by name."""
        return sorted(await self._folders(None))

    async def touched(self, asset: str, generation: int) -> float:
        """When the newest object of a generation was written, seconds since the epoch; 0 for none."""
        times = [
            meta["last_modified"].timestamp() async for meta in self._under(_generation(asset, generation))
        ]
        return max(times, default=0.0)

    async def delete_generation(self, asset: str, generation: int) -> None:
        """Remove all of a generation. What makes it readable goes first. Harmless when it is gone."""
        await self._delete(_generation(asset, generation))

    async def delete_asset(self, asset: str) -> None:
        """Remove every generation of an asset."""
        await self._delete(asset_id(asset))

    async def _delete(self, folder: str) -> None:
        names = [meta["path"] async for meta in self._under(folder)]
        names.sort(key=lambda name: not name.endswith("/asset/asset.json"))
        first = sum(name.endswith("/asset/asset.json") for name in names)
        for start, stop in ((0, first), *((n, n + 1000) for n in range(first, len(names), 1000))):
            if names[start:stop]:
                with _said():
                    await obstore.delete_async(self.store, names[start:stop])

    async def _under(self, folder: str) -> AsyncIterator[Any]:
        with _said():
            async for metas in obstore.list(self.store, folder, chunk_size=1000):
                for meta in metas:
                    yield meta

    async def _folders(self, folder: str | None) -> list[str]:
        with _said():
            found = await obstore.list_with_delimiter_async(self.store, folder)
        return [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]

    async def digest(self, key: str) -> bytes:
        """SHA-256 of a stored object, read through."""
        digest = hashlib.sha256()
        with _said():
            answer = await obstore.get_async(self.store, key)
            async for chunk in answer.stream(min_chunk_size=1 << 20):
                digest.update(memoryview(chunk))
        return digest.digest()


class S3Writer:
    """Writes one object of `S3Blobs`: holds one part at most. Not for two tasks at once."""

    def __init__(self, blobs: S3Blobs, key: str) -> None:
        self._blobs = blobs
        self._key = key
        self._full_key = "/".join(filter(None, (blobs.prefix, key)))
        self._held = bytearray()
        self._digest = hashlib.sha256()
        self._upload = ""
        self._tags: list[str] = []

    async def __aenter__(self) -> Self:
        """Nothing is begun before there is a part to send."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Throw away what was not committed."""
        await self.abort()

    async def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        left = memoryview(data)
        self._digest.update(left)
        while left:
            piece = left[: PART - len(self._held)]
            self._held += piece
            left = left[len(piece) :]
            if len(self._held) == PART and left:
                await self._send()
        if len(self._held) == PART and self._upload:
            await self._send()

    async def commit(self) -> bytes:
        """Make the object visible; its SHA-256. Problem conflict when the name has other bytes."""
        digest = self._digest.digest()
        if not self._upload:
            made = await self._put()
        else:
            if self._held:
                await self._send()
            made = await self._blobs.multiparts.complete(self._full_key, self._upload, self._tags)
            if made:
                self._upload = ""
        if not made and await self._blobs.digest(self._key) != digest:
            raise Problem("conflict", "This was stored with other bytes before.", detail=self._key)
        await self.abort()
        return digest

    async def abort(self) -> None:
        """Throw it away. Harmless after `commit`."""
        self._held.clear()
        if self._upload:
            upload, self._upload = self._upload, ""
            # What is not thrown away now, the sweep throws away: this must not hide why the writer left.
            with contextlib.suppress(Problem):
                await asyncio.shield(self._blobs.multiparts.abort(self._full_key, upload))

    async def _send(self) -> None:
        if not self._upload:
            self._upload = await self._blobs.multiparts.begin(self._full_key)
        number = len(self._tags) + 1
        self._tags.append(
            await self._blobs.multiparts.send(self._full_key, self._upload, number, bytes(self._held))
        )
        self._held.clear()

    async def _put(self) -> bool:
        with _said():
            try:
                await obstore.put_async(
                    self._blobs.store, self._key, bytes(self._held), mode="create", use_multipart=False
                )
            except (AlreadyExistsError, PreconditionError):
                return False
        return True


def _generation(asset: str, generation: int) -> str:
    if generation < 1:
        raise Problem("bad_request", "A generation is a number from 1.", detail=f"got {generation}")
    return f"{asset_id(asset)}/{generation}"


def _key(asset: str, generation: int, rendition: str, name: str) -> str:
    return f"{_generation(asset, generation)}/{rendition_id(rendition)}/{object_name(name)}"


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """Trouble of the bucket as a Problem."""
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise Problem("bad_upstream", NO_BUCKET) from None
        raise Problem("not_found", "There is no such object.") from None
    except (PermissionDeniedError, UnauthenticatedError):
        raise Problem("bad_upstream", REFUSED) from None
    except (AlreadyExistsError, PreconditionError):
        raise
    except BaseError as error:
        text = str(error)
        if "NoSuchBucket" in text:
            raise Problem("bad_upstream", NO_BUCKET) from None
        if "416" in text or "range" in text.lower():
            raise Problem("bad_upstream", "A stored object is shorter than it was.") from None
        raise Problem("unavailable", AWAY, detail=type(error).__name__) from None
