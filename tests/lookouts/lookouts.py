"""Triggers of a third party, for tests: a distribution of its own that is found on the path.

All they do is told by files of a folder, so that a test in another process sees and steers them.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.sdk import PollingTrigger, RealtimeTrigger, RunContext

TICK = 0.02


class Diary:
    """`log` has a line for each thing that happened: `begin|end <process> <evaluation> <lease-free number>`."""

    def __init__(self, folder: str) -> None:
        self.folder, self.mark = Path(folder), f"{os.getpid()} {uuid.uuid4().hex[:8]}"

    def note(self, word: str, more: str = "") -> None:
        with (self.folder / "log").open("a") as log:
            log.write(f"{time.time():.3f} {word} {self.mark} {more}\n")

    @contextmanager
    def present(self) -> Iterator[None]:
        self.note("begin")
        try:
            yield
        finally:
            self.note("end")

    def told(self, name: str) -> str | None:
        """What the test has put in a file of that name."""
        path = self.folder / name
        return path.read_text() if path.exists() else None


class Lookout(PollingTrigger):
    """Looks into a folder: takes the file `found` away and starts an execution with its text.

    `hang`, `deaf` (it hangs whatever it is told), `slow` and `fail` say how it behaves.
    """

    folder: str

    def evaluate(self, ctx: RunContext) -> Mapping[str, Any] | None:
        diary = Diary(self.folder)
        with diary.present():
            while diary.told("hang") is not None and not ctx.cancelled():
                time.sleep(TICK)
            while diary.told("deaf") is not None:
                time.sleep(TICK)
            until = time.monotonic() + float(diary.told("slow") or 0)
            while time.monotonic() < until and not ctx.cancelled():
                time.sleep(TICK)
            if (why := diary.told("fail")) is not None:
                raise ValueError(why)
            if (text := diary.told("found")) is None:
                return None
            if diary.told("keep") is None:
                (diary.folder / "found").unlink()
            return {"text": text, "group": ctx.info.group}


class Listener(RealtimeTrigger):
    """Reads the lines of the file `queue` in order, and notes in `taken` how many were told to be saved."""

    folder: str

    def listen(self, ctx: RunContext, emit: Callable[[Mapping[str, Any]], None]) -> None:
        diary = Diary(self.folder)
        with diary.present():
            while not ctx.cancelled():
                if (why := diary.told("fail")) is not None:
                    raise ValueError(why)
                if not self._take_one(diary, emit):
                    time.sleep(TICK)

    def _take_one(self, diary: Diary, emit: Callable[[Mapping[str, Any]], None]) -> bool:
        lines = (diary.told("queue") or "").splitlines()
        taken = int(diary.told("taken") or 0)
        if taken >= len(lines):
            return False
        time.sleep(float(diary.told("slow") or 0))
        emit({"line": lines[taken]})
        draft = diary.folder / f"taken.{os.getpid()}"
        draft.write_text(str(taken + 1))
        draft.replace(diary.folder / "taken")
        return True
