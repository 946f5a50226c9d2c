"""`sluice add … --drm`, where content keys come from, and `sluice drm`, which writes them for a provider."""

import os
import sys
import uuid
from pathlib import Path
from typing import Final

import click

from deploy.commands.operator import Operator
from deploy.commands.options import data_option
from keys.cpix import BadCpix
from keys.cpix_xml import write_cpix
from keys.drm import MOST_BYTES, read_drm
from keys.drm_signalling import signalled
from keys.names import b64url_decode
from keys.problems import Problem
from origin.drm import CPIX, source
from origin.ingest.provider import new_document
from origin.media.drm import BadDrm, drm_of

NEW: Final = "new"
HANDED_OVER_S: Final = 60.0  # for a document: longer than the origin waits for keys


def drm_source(text: str | None) -> tuple[str, bytes]:
    """What the origin is told of --drm, and the document that follows the upload. UsageError if bad."""
    if text is None:
        return "", b""
    if "://" in text:
        try:
            return source(text), b""
        except Problem as problem:
            raise click.UsageError(f"--drm: {problem.message}") from problem
    document = _new() if text == NEW else _file(Path(text))
    try:
        drm_of(signalled(read_drm(document)))
    except (BadCpix, BadDrm) as exc:
        raise click.UsageError(f"--drm: {text} cannot be used. {exc}") from exc
    return CPIX, document


def provide(operator: Operator, asset: str, document: bytes) -> None:
    """Hands over the document an uploaded asset waits for. Problem; where it is refused, the asset goes."""
    try:
        operator.origin("PUT", f"/v1/assets/{asset}/drm", content=document, timeout=HANDED_OVER_S)
    except Problem as problem:
        if problem.status < 500:
            operator.origin("DELETE", f"/v1/assets/{asset}")
            raise
        # It may still be taken, so nothing is thrown away.
        said = f"{problem.message} If {asset} is not being ingested, `sluice rm` it and add it anew."
        raise Problem(problem.code, said, detail=problem.detail) from problem


def _new() -> bytes:
    """Keys of our own, which a provider has yet to be told of, and what its systems' players will be told."""
    made = new_document(str(uuid.uuid4()), "cbcs", lambda: os.urandom(16))
    return write_cpix(signalled(made))


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise click.UsageError(f"--drm: {path} cannot be read: {error.strerror}.") from error


@click.command()
@click.argument("asset")
@data_option
def drm(asset: str, data: Path) -> int:
    """Write ASSET's content keys to stdout, as a CPIX document for its DRM provider.

    The keys in it open the film in every session. Keep it as you would the film.
    """
    with Operator(data) as operator:
        found = operator.keys("GET", f"/v1/assets/{asset}/drm")
    if sys.stdout.isatty():
        raise click.UsageError(
            "The document holds keys: send it to a file, as in `sluice drm film > film.cpix`."
        )
    sys.stdout.buffer.write(b64url_decode(found["cpix"]))
    sys.stdout.buffer.flush()
    return 0
