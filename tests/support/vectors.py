"""The conformance vectors in `tests/vectors/` that are made from the code: what each file has to say.

`python -m tests.support.vectors` writes them anew; a test makes them again and compares.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.support.link_vectors import Vector, links
from tests.support.refusal_vectors import refusals
from tests.support.session_vectors import sessions

FOLDER: Final = Path(__file__).parents[1] / "vectors"

DOCUMENTS: Final[dict[str, Callable[[], Vector]]] = {
    "links.json": links,
    "refusals.json": refusals,
    "sessions.json": sessions,
}


def text_of(name: str) -> str:
    """What the file of that name has to be."""
    return json.dumps(DOCUMENTS[name](), indent=2, ensure_ascii=False) + "\n"


def stored(name: str) -> Vector:
    """What the file of that name says."""
    found: Vector = json.loads((FOLDER / name).read_text("utf-8"))
    return found


if __name__ == "__main__":
    for file in DOCUMENTS:
        (FOLDER / file).write_text(text_of(file), "utf-8")
