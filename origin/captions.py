"""Captions that a publisher gives beside a film: read and cleaned at once, kept until the film is published.

They lie as WebVTT of ours in a folder an asset, `<language>.vtt` or `<language>.forced.vtt`, what is said of
them in a JSON beside. What the publisher's file held besides its cues is not kept.
"""

import json
import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from keys.names import asset_id
from keys.problems import Problem
from origin.filenames import clean_line
from origin.ingest.ladder import LANGUAGES, language_name
from origin.media.captions import BadCaptions, Cue, write_webvtt
from origin.media.captions_reading import read_captions

SHELF: Final = "captions"  # the folder, beside uploads
MOST: Final = 32  # of one asset
_LOG: Final = logging.getLogger(__name__)
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}")


@dataclass(frozen=True, slots=True)
class Given:
    """Captions in one language."""

    language: str  # RFC 5646; may be empty
    name: str  # for people
    cues: tuple[Cue, ...]
    forced: bool = False
    default: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a publisher says of a file of captions."""

    language: str
    name: str = ""
    forced: bool = False
    default: bool = False


def told(language: str, *, name: str = "", forced: bool = False, default: bool = False) -> Told:
    """The same, checked. Problem bad_request for a language that is none."""
    tag = language.strip().replace("_", "-").lower()
    if not _LANGUAGE.fullmatch(tag):
        raise Problem("bad_request", "Say the language of captions by its tag, such as en or pt-BR.")
    first, *rest = tag.split("-")
    parts = [part.upper() if len(part) == 2 else part.title() if len(part) == 4 else part for part in rest]
    tag = "-".join([LANGUAGES.get(first, first), *parts])
    return Told(tag, clean_line(name, language_name(tag))[:80], forced, default)


class Shelf:
    """The folder they lie in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, asset: str, what: Told, data: bytes) -> int:
        """Keeps a file of captions; how many cues it has. Problem bad_request when it is none."""
        try:
            cues = read_captions(data)
            written = write_webvtt(cues)
            read_captions(written)  # as it will be: it may have grown over the limit
        except BadCaptions as exc:
            raise Problem("bad_request", str(exc)) from exc
        place = self._folder / asset_id(asset)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = what.language + (".forced" if what.forced else "")
        if not (place / f"{name}.json").exists() and len(list(place.glob("*.json"))) >= MOST:
            raise Problem("bad_request", f"An asset has at most {MOST} captions.")
        _replace(place / f"{name}.vtt", written)
        _replace(place / f"{name}.json", json.dumps(asdict(what)).encode())
        return len(cues)

    def read(self, asset: str) -> Sequence[Given]:
        """All that was given for an asset, in order of language."""
        found = []
        for note in sorted((self._folder / asset_id(asset)).glob("*.json")):
            try:
                what = Told(**json.loads(note.read_bytes()))
                cues = read_captions(note.with_suffix(".vtt").read_bytes())
            except (OSError, ValueError, TypeError, BadCaptions) as exc:  # a film without them is a film
                _LOG.warning("captions %s of %s left out: %s", note.stem, asset, exc)
                continue
            found.append(Given(what.language, what.name, cues, what.forced, what.default))
        return found

    def drop(self, asset: str) -> None:
        """Removes what was given for an asset."""
        shutil.rmtree(self._folder / asset_id(asset), ignore_errors=True)


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.replace(path)
