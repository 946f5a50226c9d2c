"""What operator commands share: the running system, the admin token, and calls to it with sentences for
trouble.
"""

import json
from pathlib import Path
from typing import Any

import httpx

from deploy.running import NotRunning, Running, find
from keys import secrets as secret_files
from keys.problems import STATUS, Problem

ANSWER_S = 20.0


class Operator:
    """Speaks to what runs in a data directory, as its operator. NotRunning when nothing does."""

    def __init__(self, data: Path) -> None:
        self.running: Running = find(data)
        if self.running.keys is None and self.running.origin is None:
            raise NotRunning(f"Neither keys nor origin runs in {self.running.data}: ask where they do.")
        try:
            token = secret_files.read_token(self.running.data / "secrets" / secret_files.ADMIN_TOKEN)
        except secret_files.BadSecret as error:
            raise Problem("unauthenticated", str(error)) from error
        self._http = httpx.Client(
            headers={"authorization": f"Bearer {token}"}, timeout=ANSWER_S, trust_env=False
        )

    def __enter__(self) -> "Operator":
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def origin(self, method: str, path: str, **more: Any) -> Any:
        """What the origin answers, as JSON (None for an empty answer). Problem as it was refused."""
        return self._call("origin", self.running.origin, method, path, **more)

    def keys(self, method: str, path: str, **more: Any) -> Any:
        """What keys answers, as JSON. Problem as it was refused."""
        return self._call("keys", self.running.keys, method, path, **more)

    def _call(self, service: str, base: str | None, method: str, path: str, **more: Any) -> Any:
        if base is None:
            raise NotRunning(f"No {service} service runs in {self.running.data}.")
        try:
            answer = self._http.request(method, base + path, **more)
        except httpx.ConnectError as error:
            raise NotRunning(f"The {service} service at {base} does not answer: is it running?") from error
        except httpx.HTTPError as error:
            raise Problem("unavailable", f"The {service} service broke off: {error}.") from error
        if answer.is_error:
            raise _problem(service, answer)
        return answer.json() if answer.content else None


def _problem(service: str, answer: httpx.Response) -> Problem:
    try:
        body = json.loads(answer.content)
        code, message = str(body["code"]), str(body["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "", f"The {service} service answered {answer.status_code}."
    return Problem(code if code in STATUS else "bad_upstream", message)
