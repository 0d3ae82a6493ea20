"""Memory of a server's processes as PSS: what is shared is counted once, divided among its holders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MARK = "ORCHESTRATOR_CLUSTER="  # in the environment of every process of a server's cluster


def by_title(mark: str = "") -> dict[str, float]:
    """MiB of each Ray actor and service of servers on this machine, by the title of its process; `mark` means one cluster only."""
    found: dict[str, float] = {}
    for title, mib in _processes((MARK + mark).encode()):
        found[title] = found.get(title, 0.0) + mib
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _processes(mark: bytes) -> Iterator[tuple[str, float]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes():
                yield _title(folder), pss_mib(folder)
        except (OSError, ValueError, IndexError):
            continue  # it has ended, or is another user's


def _title(folder: Path) -> str:
    """What a process calls itself: a Ray actor's title, a Python program's file, or the program."""
    words = [word.decode(errors="replace") for word in (folder / "cmdline").read_bytes().split(b"\0") if word]
    if words[0].startswith("ray::"):
        return words[0].strip()[:60]
    script = next((word for word in words[1:] if word.endswith(".py")), None) if "python" in Path(words[0]).name else None
    return Path(script or words[0]).name


def pss_mib(folder: Path) -> float:
    """Of the process whose folder of /proc is given."""
    lines = (folder / "smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024
