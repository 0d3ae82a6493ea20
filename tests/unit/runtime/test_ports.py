"""Ports for what is about to listen."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from orchestrator.runtime import ray_processes


def test_free_ports_are_all_different_and_none_that_another_is_given_by_chance() -> None:
    found = ray_processes.free_ports(50)
    assert len(set(found)) == 50
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(20000 <= port < given for port in found)


def test_a_port_that_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = ray_processes.free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        ports = [port, port + 1]
        monkeypatch.setattr(ray_processes, "_PORTS", (port, port + 2))
        assert ray_processes.free_ports(1)[0] in set(ports) - {port}
