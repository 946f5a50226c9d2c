"""A site of its own on loopback, whose pages play links with stock hls.js and stock Shaka.

The scripts come from where set-up put them; a test that needs one that is not there skips and says why.
"""

import contextlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

PACKAGES: Final = Path(__file__).parents[2] / ".tools" / "npm" / "node_modules"
SCRIPTS: Final = {
    "hls": PACKAGES / "hls.js" / "dist" / "hls.min.js",
    "shaka": PACKAGES / "shaka-player" / "dist" / "shaka-player.compiled.js",
}

# Each page plays the link in its fragment and offers `window.choose(height)`. Buffers, time limits and
# the choice of quality are the player's own.
PAGES: Final = {
    "hls": """
const hls = window.hls = new Hls();
hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) throw new Error(data.details); });
hls.loadSource(location.hash.slice(1));
hls.attachMedia(video);
window.choose = (height) => { hls.nextLevel = hls.levels.findIndex((level) => level.height === height); };
""",
    "shaka": """
const player = window.player = new shaka.Player();
player.addEventListener('error', ({ detail }) => { throw new Error(`shaka ${detail.code}`); });
player.attach(video).then(() => player.load(location.hash.slice(1)));
window.choose = (height) => {
  player.configure('abr.enabled', false);
  player.selectVariantTrack(player.getVariantTracks().find((track) => track.height === height), true);
};
""",
}

_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>{name}</title><link rel="icon" href="data:,">
<video muted autoplay playsinline width="640"></video>
<script src="{name}.js"></script>
<script>const video = document.querySelector('video');{script}</script>
"""


@contextlib.contextmanager
def stage(folder: Path) -> Iterator[str]:
    """The site's address while entered; its pages are /hls.html and /shaka.html."""
    for name, script in PAGES.items():
        (folder / f"{name}.html").write_text(_PAGE.format(name=name, script=script))
        if SCRIPTS[name].exists():
            (folder / f"{name}.js").write_bytes(SCRIPTS[name].read_bytes())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def needs(name: str) -> None:
    """Skips where set-up has not brought the player."""
    if not SCRIPTS[name].exists():
        pytest.skip(f"{SCRIPTS[name].name} is not here: make setup-dev")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's output is for the test."""
