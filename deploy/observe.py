"""What a service says about itself: one JSON object a line on stderr, with tokens taken out.

Parts log through the standard library; structlog gives the lines their form. Whatever looks like a link, a
token or a bearer is cut out of the finished line, so that no caller has to remember.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

_SECRETS: Final = (
    (re.compile(r"URISigningPackage=[^/?#&\s\"'\\]+"), "URISigningPackage=…"),
    (re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{8,}"), "Bearer …"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){2,4}"), "eyJ…"),
    (re.compile(r"(?<=://)[^/@\s\"]+@"), "…@"),
)
# They log every request or statement at info: nothing a reader of our log looks for.
_QUIET: Final = ("httpx", "httpcore", "aiosqlite", "asyncio", "alembic", "sqlalchemy.engine", "uvicorn.error")


def scrub(text: str) -> str:
    """The text without tokens, bearers and passwords in addresses."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def set_up(service: str, level: str) -> None:
    """Logs of this process go to stderr as JSON lines that name the service."""

    def name_it(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"service": service, **event}

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_it,
    ]
    renderer: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False),
        lambda _, __, line: scrub(str(line)),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=renderer))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
