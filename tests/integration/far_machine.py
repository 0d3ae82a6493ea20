"""Another machine as far as the network goes: a network namespace joined to this one by a cable that can be cut. Needs root."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_NUMBERS = itertools.count()


class FarMachine:
    """`wrap` is put before a command that is to run there; `gateway` is this machine's address as seen from there."""

    def __init__(self, number: int) -> None:
        self.name, network = f"orch{os.getpid()}x{number}", _free_network()
        self.gateway, self.address = f"{network}.1", f"{network}.2"
        self._cable = f"oc{os.getpid() % 100000}x{number}"

    @property
    def wrap(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def connect(self) -> None:
        _ip("netns", "add", self.name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("addr", "add", f"{self.gateway}/24", "dev", self._cable)
        self.mend()
        _ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", self.name, "link", "set", device, "up")
        _ip("-n", self.name, "route", "add", "default", "via", self.gateway)

    def cut(self) -> None:
        """Let nothing through any more, in either direction; nobody is told."""
        _ip("link", "set", self._cable, "down")

    def mend(self) -> None:
        _ip("link", "set", self._cable, "up")

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self._cable], check=False, capture_output=True)


def able() -> bool:
    """Whether networks can be made here."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


@contextmanager
def far_machine() -> Iterator[FarMachine]:
    machine = FarMachine(next(_NUMBERS))
    try:
        machine.connect()
        yield machine
    finally:
        machine.remove()


def _free_network() -> str:
    """The first three numbers of addresses that nobody on this machine has; other tests may make networks at the same time."""
    taken = subprocess.run(["ip", "-o", "addr"], check=True, capture_output=True, text=True, timeout=10).stdout
    return next(network for network in (f"10.213.{number}" for number in random.sample(range(1, 255), 254)) if f" {network}." not in taken)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)
