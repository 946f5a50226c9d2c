"""nginx as Debian has it, set up as a cache that checks links: what zones are measured beside.

proxy_cache, secure_link, `output_buffers 2 256k` and no sendfile, which is faster so (one worker, no log).
"""

import asyncio
import base64
import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.bench.load import Line
from deploy.child import ChildSpec, start

SECRET: Final = "bench"  # noqa: S105 - of a server that serves nothing
GOOD_S: Final = 86_400
_CONF: Final = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile off; output_buffers 2 256k; tcp_nodelay on; keepalive_requests 1000000000;
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=bench:10m max_size=1g;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      secure_link $arg_md5,$arg_expires; secure_link_md5 "$secure_link_expires$uri {secret}";
      if ($secure_link = "") {{ return 403; }}
      if ($secure_link = "0") {{ return 410; }}
      proxy_pass http://127.0.0.1:{origin}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache bench; proxy_cache_key $uri;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running one: where it is, and the worker that does the work."""

    url: str
    worker: int

    @staticmethod
    def signed(path: str) -> str:
        """The target of this path with a link of nginx's kind."""
        ends = int(time.time()) + GOOD_S
        digest = hashlib.md5(f"{ends}{path} {SECRET}".encode()).digest()  # noqa: S324 - secure_link knows no other
        return f"{path}?md5={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}&expires={ends}"


def program() -> str | None:
    """Where nginx is on this machine."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


@contextlib.asynccontextmanager
async def running(program: str, folder: Path, port: int, origin: int) -> AsyncIterator[Nginx]:
    """nginx in front of the origin on that port while entered; its files are in `folder`. OSError."""
    folder.mkdir(parents=True)
    user = "user root;" if os.geteuid() == 0 else ""
    conf = folder / "nginx.conf"
    conf.write_text(_CONF.format(folder=folder, port=port, origin=origin, secret=SECRET, user=user))
    process = await start(ChildSpec("nginx", [program, "-c", str(conf), "-p", str(folder)]))
    url = f"http://127.0.0.1:{port}"
    try:
        await _answers(url)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        workers = [int(pid) for pid in children if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        yield Nginx(url, workers[0])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _answers(url: str) -> None:
    """Returns when it answers. OSError when it does not within five seconds."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            async with await Line.to(url) as line:
                await line.get("/")
                return
        await asyncio.sleep(0.05)
    raise OSError("nginx did not start")
