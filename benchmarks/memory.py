"""Memory of a server's processes as PSS: what is shared is counted once, divided among its holders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MARK = "ORCHESTRATOR_CLUSTER="  # in the environment of every process of a server's cluster


def by_title() -> dict[str, float]:
    """MiB of each Ray actor and service of servers on this machine, by the title of its process."""
    found: dict[str, float] = {}
    for title, mib in _processes():
        found[title] = found.get(title, 0.0) + mib
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _processes() -> Iterator[tuple[str, float]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() in (folder / "environ").read_bytes():
                yield _title(folder), _pss_mib(folder)
        except (OSError, ValueError):
            continue  # it has ended, or is another user's


def _title(folder: Path) -> str:
    words = (folder / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace").split()
    first = words[0] if words else "?"
    return " ".join(words)[:60] if first.startswith("ray::") else Path(first).name


def _pss_mib(folder: Path) -> float:
    lines = (folder / "smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024
