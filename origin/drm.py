"""Where the content keys of an asset come from, as its publisher says when he adds it. Pure.

""         from nobody: every session has keys of its own
cpix       from a CPIX document, which follows the upload
https://…  from a DRM provider, who is asked over SPEKE at ingest
"""

from typing import Final

from keys.problems import Problem
from origin.drm_server import check_url

CPIX: Final = "cpix"
LONGEST: Final = 1024  # characters


def source(text: str) -> str:
    """The text as a source of content keys. Problem bad_request for anything else.

    A provider is asked by https, or on this machine. What opens it is the origin's to know, and never in the
    address.
    """
    if text in ("", CPIX):
        return text
    if not (text.isascii() and text.isprintable()) or " " in text or "#" in text or len(text) > LONGEST:
        raise Problem("bad_request", "The address of the DRM server is no https URL.")
    try:
        check_url(text)
    except ValueError as exc:
        raise Problem("bad_request", str(exc)) from exc
    return text


def asked(text: str) -> bool:
    """Whether a provider has to be asked."""
    return text not in ("", CPIX)
