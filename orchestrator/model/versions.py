"""Which machines may work together, by the versions of what is installed on them."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.values import Frozen


class Versions(Frozen):
    """What a machine has installed."""

    orchestrator: str
    ray: str
    python: str


def misfits(machine: Versions, server: Versions) -> Sequence[str]:
    """What keeps a machine from working for a server, one phrase per reason; empty when they fit.

    The project: the same major and minor version is served, whatever the patch level. Ray: the very same version, as it
    takes no other node. Python: the very same patch level, which Ray wants too.
    """
    wrong = [(name, mine, theirs) for name, mine, theirs in _compared(machine, server) if mine != theirs]
    found = [f"{name} {mine} (the server has {theirs})" for name, mine, theirs in wrong]
    if not serves(server.orchestrator, machine.orchestrator):
        found.insert(0, f"orchestrator {machine.orchestrator} (the server has {server.orchestrator} and serves {_line(server.orchestrator)}.x)")
    return found


def serves(server: str, machine: str) -> bool:
    """Whether two versions of the project understand each other: the same major and minor version."""
    return _line(server) == _line(machine)


def _compared(machine: Versions, server: Versions) -> tuple[tuple[str, str, str], ...]:
    return ("ray", machine.ray, server.ray), ("python", machine.python, server.python)


def _line(version: str) -> str:
    return ".".join(version.split(".")[:2])
