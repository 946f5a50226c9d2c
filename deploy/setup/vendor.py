"""Copies what the pages load from installed npm packages, with a note of version and integrity beside it.

usage: vendor.py NPM_FOLDER VENDOR_FOLDER
"""

import base64
import hashlib
import json
import shutil
import sys
from pathlib import Path

FILES = {  # name here: package, file in it
    "hls.min.js": ("hls.js", "dist/hls.min.js"),
    "shaka-player.js": ("shaka-player", "dist/shaka-player.dash-es2021.js"),
}


def main(npm: Path, vendor: Path) -> None:
    """Fills the vendor folder; `vendor.json` in it says {file: {package, version, integrity}}."""
    vendor.mkdir(parents=True, exist_ok=True)
    notes = {}
    for name, (package, file) in FILES.items():
        source = npm / "node_modules" / package
        shutil.copyfile(source / file, vendor / name)
        digest = base64.b64encode(hashlib.sha384((vendor / name).read_bytes()).digest()).decode()
        version = json.loads((source / "package.json").read_text())["version"]
        notes[name] = {"package": package, "version": version, "integrity": f"sha384-{digest}"}
    (vendor / "vendor.json").write_text(json.dumps(notes, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
