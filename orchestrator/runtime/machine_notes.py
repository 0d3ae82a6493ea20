"""What the places of one installation leave for each other on their machine, in files: also a machine that is cut off has these.

`places/NAME` holds a place's group and until when it may go on (seconds of the machine's monotonic clock); `held/KEY` the name
of the place that watches a job; `let-go/KEY` is there when the machine itself has ended a job because nobody was left to watch it.
`guard_process.py` reads and writes the same files.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path


class MachineNotes:
    """One installation's, below `root`. A note that cannot be written is not."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def may_go_on(self, place: str, group: str, seconds: float) -> None:
        """The head knew a place just now: it may go on for so long."""
        self._write("places", place, f"{time.monotonic() + seconds:.3f} {group}")

    def hold(self, key: str, place: str) -> None:
        """A place watches a job from now on."""
        self._write("held", key, place)

    def release(self, key: str, place: str) -> None:
        """It does so no more, unless another has taken over."""
        with suppress(OSError):
            if (self.root / "held" / key).read_text() == place:
                (self.root / "held" / key).unlink()

    def take_let_go(self, key: str) -> bool:
        """Whether this machine has ended a job by itself; told once."""
        try:
            (self.root / "let-go" / key).unlink()
        except OSError:
            return False
        return True

    def _write(self, kind: str, name: str, text: str) -> None:
        with suppress(OSError):
            folder = self.root / kind
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside = folder / f".{name}.{os.getpid()}"
            beside.write_text(text)
            beside.replace(folder / name)
