"""Requests that miss together: one asks the origin, the others wait for the head of its answer."""

from edge.http.directives import of_request
from edge.http.entry import Request
from edge.http.partial import aligned
from edge.zone import leaving
from edge.zone.outcomes import Failed, Outcome
from edge.zone.upstream import NoAnswer


class Asking(leaving.Asking):
    """A request to the origin that others wait for, and whether it was in vain."""

    def __init__(self) -> None:
        super().__init__()
        self.unanswered: Failed | None = None  # then there is none for the others either
        self.elsewhere = False  # another worker or edge had it: if that will not do, one asks for all again

    def came(self, outcome: Outcome) -> None:
        """What became of it."""
        # NoAnswer itself: what one of them did not believe may be right for another
        if isinstance(outcome, Failed) and type(outcome.error) is NoAnswer:
            self.unanswered = outcome


class Together:
    """What is being asked for now, by URI."""

    def __init__(self) -> None:
        self._asking: dict[str, Asking] = {}

    def get(self, uri: str) -> Asking | None:
        """What to wait for; None when nobody asks."""
        return self._asking.get(uri)

    def begin(self, request: Request) -> Asking | None:
        """What others wait for from now on; None where they had better not."""
        alone = any(name in (b"range", b"authorization") or name[:3] == b"if-" for name, _ in request.fields)
        if (alone and aligned(request) is None) or request.method != "GET" or request.uri in self._asking:
            return None
        if of_request(request.fields).no_store:
            return None
        mine = self._asking[request.uri] = Asking()
        return mine

    def end(self, uri: str, asking: Asking) -> None:
        """Those who wait go on."""
        del self._asking[uri]
        asking.set()
