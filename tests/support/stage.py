"""A site of its own on loopback, whose pages play links with stock hls.js, Shaka and dash.js.

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
    "dash": PACKAGES / "dashjs" / "dist" / "modern" / "umd" / "dash.all.min.js",
}


def _documented(player: str) -> str:
    """The code that docs/players.md gives for that player."""
    text = (Path(__file__).parents[2] / "docs" / "players.md").read_text()
    return text.split(f"\n### {player}\n")[1].split("```js\n")[1].split("```")[0]


# Each page plays the link in its fragment and offers `window.choose(height)`. Buffers, time limits and
# the choice of quality are the player's own.
PAGES: Final = {  # page: its player, what it does
    "hls": (
        "hls",
        """
const hls = window.hls = new Hls();
hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) throw new Error(data.details); });
hls.loadSource(location.hash.slice(1));
hls.attachMedia(video);
window.choose = (height) => { hls.nextLevel = hls.levels.findIndex((level) => level.height === height); };
""",
    ),
    "shaka": (
        "shaka",
        """
const player = window.player = new shaka.Player();
player.addEventListener('error', ({ detail }) => tell(`shaka ${detail.code}`));
player.attach(video).then(() => player.load(location.hash.slice(1)));
window.choose = (height) => {
  player.configure('abr.enabled', false);
  player.selectVariantTrack(player.getVariantTracks().find((track) => track.height === height), true);
};
""",
    ),
    "shaka-keys": (  # which it is given, as a DRM system's decryptor would be: window.clearKeys
        "shaka",
        """
const player = window.player = new shaka.Player();
player.addEventListener('error', ({ detail }) => tell(`shaka ${detail.code}`));
player.configure({ drm: { clearKeys: window.clearKeys } });
player.attach(video).then(() => player.load(location.hash.slice(1)))
  .catch((error) => tell(`shaka ${error.code}`));
""",
    ),
    "shaka-license": (
        "shaka",
        _documented("Shaka Player")
        + """
window.choose = (height) => {
  player.configure('abr.enabled', false);
  player.selectVariantTrack(player.getVariantTracks().find((track) => track.height === height), true);
};
play(location.hash.slice(1), video, tell).then((made) => { window.player = made; });
""",
    ),
    "dash-license": (
        "dash",
        _documented("dash.js")
        + """
window.choose = (height) => {
  player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } } } });
  const found = player.getRepresentationsByType('video').find((each) => each.height === height);
  player.setRepresentationForTypeById('video', found.id, true);
};
play(location.hash.slice(1), video, tell).then((made) => { window.player = made; });
""",
    ),
}

_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>{name}</title><link rel="icon" href="data:,">
<video muted autoplay playsinline width="640"></video>
<script src="{player}.js"></script>
<script>
const video = document.querySelector('video');
const tell = (text) => reportError(new Error(text));
{script}</script>
"""


@contextlib.contextmanager
def stage(folder: Path) -> Iterator[str]:
    """The site's address while entered; its pages are those of PAGES, such as /hls.html."""
    for name, (player, script) in PAGES.items():
        (folder / f"{name}.html").write_text(_PAGE.format(name=name, player=player, script=script))
    for player, source in SCRIPTS.items():
        if source.exists():
            (folder / f"{player}.js").write_bytes(source.read_bytes())
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
