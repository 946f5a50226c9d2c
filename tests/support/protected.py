"""Common Encryption for an edge that serves from memory: maps of segments that are no real film's."""

import random
from dataclasses import replace

from origin.media.maps import map_object, pack, write_block
from origin.media.protection import SCHEMES, VIDEO_SKIP, ProtectionMap, SchemeMap
from tests.edge.parts import GENERATION, World

CLEAR = 40  # bytes before the media data, in segments that have so many
SAMPLE = 9_000  # bytes, at most


def offer(edge: World) -> None:
    """The film has cbcs and cenc besides aes, and maps of all segments."""
    film = edge.library.assets["film", GENERATION]
    edge.library.assets["film", GENERATION] = replace(film, protections=("aes", *SCHEMES))
    for rendition in film.renditions:
        skip = VIDEO_SKIP if rendition.track == "video" else 0
        maps = [pack(map_of(size, skip)) for size in rendition.sizes]
        edge.library.objects[rendition.id, map_object(0)] = write_block(0, maps)


def map_of(length: int, skip: int) -> ProtectionMap:
    """A map of any segment of that length: samples of a clear part and a protected one."""
    chance = random.Random(length)
    clear = min(CLEAR, length)
    samples, at, size = [], 0, length - clear
    while at < size:
        end = min(size, at + chance.randint(1, SAMPLE))
        start = min(end, at + (20 if skip else 0))
        samples.append(((start, end - start),))
        at = end
    head = SchemeMap(chance.randbytes(clear + 100), tuple(samples))
    return ProtectionMap(clear, skip, head, replace(head, head=chance.randbytes(clear + 50)))
