"""Front proxies before a running edge, measured side by side: `python deploy/front/compare/measure.py …`.

Needs h2load (Debian: nghttp2-client) and the proxies' Debian packages; those not installed are left out.
Each round drives every proxy in turn, so that what else the machine does hits all alike; medians are
printed. CPU is the proxy's own, from /proc, all its processes together.

    measure.py --edge 127.0.0.1:22010 --small /healthz --large "/v;URISigningPackage=…/film/aes/1080p/3.m4s"
"""

import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
TICK: Final = os.sysconf("SC_CLK_TCK")
SMALL: Final = 3000  # requests in a run
LARGE: Final = 80
FIRST_PORT: Final = 22_443
LOADS: Final = (("h1", "small"), ("h2", "small"), ("h1", "large"), ("h2", "large"))


class Proxy:
    """One proxy, running before the edge."""

    def __init__(self, name: str, port: int, argv: list[str], environment: dict[str, str], folder: Path):
        self.name = name
        self.url = f"https://127.0.0.1:{port}"
        with (folder / f"{name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                argv, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
            )

    def cpu_s(self) -> float:
        """Seconds of CPU its processes have used."""
        used = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[2]) == self._process.pid:  # its process group
                used += int(fields[11]) + int(fields[12])
        return used / TICK

    def stop(self) -> None:
        """Ends all of it."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(10)


def main() -> None:
    """Measures and prints a table in Markdown."""
    parser = ArgumentParser()
    parser.add_argument("--edge", required=True, help="host:port of the edge")
    parser.add_argument("--small", required=True, help="a path with a small answer")
    parser.add_argument("--large", required=True, help="a path with a large answer")
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="front-") as name:
        proxies = started(wanted, Path(name))
        time.sleep(3)
        try:
            results = measured(wanted, proxies)
        finally:
            for proxy in proxies:
                proxy.stop()
    print("| proxy | " + " | ".join(f"{p} {s}" for p, s in LOADS) + " |\n|---|" + "---|" * len(LOADS))
    for proxy in proxies:
        cells = [_cell(results[proxy.name, *load], load[1]) for load in LOADS]
        print(f"| {proxy.name} | " + " | ".join(cells) + " |")


def started(wanted: Namespace, folder: Path) -> list[Proxy]:
    """Every proxy that is installed, with a certificate made for this."""
    cert, key = folder / "only.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    found: list[Proxy] = []

    def add(name: str, program: str, write: Callable[[int], str], *options: str) -> None:
        port = FIRST_PORT + len(found)
        written = folder / f"{name}.conf"
        written.write_text(write(port))
        environment = {
            "SLUICE_CERT": str(both),
            "SLUICE_HOST": "localhost",
            "SLUICE_EDGE": wanted.edge,
            "SLUICE_BIND": f"127.0.0.1:{port}",
        }
        if path := shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
            found.append(Proxy(name, port, [path, *options, str(written)], environment, folder))

    def caddyfile(port: int) -> str:
        values = {"DIR": folder, "EDGE": wanted.edge, "CERT": cert, "KEY": key, "PORT": port}
        text = (HERE / "Caddyfile").read_text()
        for word, value in values.items():
            text = text.replace(f"@{word}@", str(value))
        return text

    nginx = ("-e", str(folder / "nginx.errors"), "-g", "daemon off;", "-c")
    add("nginx", "nginx", lambda port: nginx_config(port, wanted.edge, cert, key, folder), *nginx)
    add("HAProxy", "haproxy", lambda port: (HERE / "haproxy.cfg").read_text(), "-db", "-f")
    add("Caddy", "caddy", caddyfile, "run", "--adapter", "caddyfile", "--config")
    return found


def nginx_config(port: int, edge: str, cert: Path, key: Path, folder: Path) -> str:
    """The configuration that ships, for this port of loopback and this folder instead of the system's."""
    text = (HERE.parent / "nginx.conf").read_text()
    kept = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    for words, instead in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:8010", edge),
        ("edge.example.org", "localhost"),
        ("/etc/ssl/sluice/fullchain.pem", str(cert)),
        ("/etc/ssl/sluice/privkey.pem", str(key)),
        ("/run/nginx.pid", f"{folder}/nginx.pid"),
        ("/var/log/nginx", str(folder)),
        ("http {\n", f"http {{\n{kept}"),
    ):
        if words not in text:
            raise SystemExit(f"nginx.conf no longer says {words!r}")
        text = text.replace(words, instead)
    return text


def measured(
    wanted: Namespace, proxies: list[Proxy]
) -> dict[tuple[str, str, str], list[tuple[float, float]]]:
    """{(proxy, protocol, size): [(requests a second, CPU seconds a request or a GB), …]}."""
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for _ in range(wanted.rounds):
        for protocol, size in LOADS:
            for proxy in proxies:
                result = _run(proxy, protocol, size, wanted.small if size == "small" else wanted.large)
                found.setdefault((proxy.name, protocol, size), []).append(result)
    return found


def _run(proxy: Proxy, protocol: str, size: str, path: str) -> tuple[float, float]:
    requests, clients = (SMALL, 32) if size == "small" else (LARGE, 8)
    how = ["-m", "4"] if protocol == "h2" else ["--h1"]
    command = ["h2load", "-n", str(requests), "-c", str(clients), *how, proxy.url + path]
    before = proxy.cpu_s()
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = proxy.cpu_s() - before
    rate = re.search(r"finished in .*?, ([0-9.]+) req/s", told)
    good = re.search(r"status codes: (\d+) 2xx", told)
    data = re.search(r"traffic: .*?\((\d+)\) total.*?\((\d+)\) data", told)
    if not rate or not good or not data or int(good[1]) != requests:
        raise SystemExit(f"{proxy.name} did not answer everything:\n{told}")
    return float(rate[1]), used / requests if size == "small" else used / int(data[2]) * 1e9


def _cell(runs: list[tuple[float, float]], size: str) -> str:
    rate, cpu = (statistics.median(each) for each in zip(*runs, strict=True))
    return f"{rate:.0f}/s, {cpu * 1e6:.0f} µs" if size == "small" else f"{rate:.0f}/s, {cpu:.2f} s/GB"


if __name__ == "__main__":
    main()
