"""The lifespan of an application under test that needs nothing at its start and end."""

from starlette.types import Receive, Send


async def lived(receive: Receive, send: Send) -> None:
    """Answers both phases."""
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
