"""The lines of a run that keeps them in a file of the internal storage, in place of the log."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import IO

from orchestrator.errors import OrchestratorError
from orchestrator.model.dispatch import SaidLine
from orchestrator.model.log import Level
from orchestrator.model.values import Json, format_instant
from orchestrator.runtime.run_log import Speaker
from orchestrator.sdk import Files


class LogFile(Speaker):
    """Gathers lines on the machine of the run; numbers go on to `beside`. Safe in threads."""

    def __init__(self, beside: Speaker) -> None:
        self._beside, self._lock = beside, threading.Lock()
        self._file: IO[bytes] | None = tempfile.TemporaryFile()  # noqa: SIM115 - closed once it is kept

    def say(self, head: Mapping[str, Json], line: SaidLine | None = None, metric: Mapping[str, Json] | None = None) -> None:
        with self._lock:
            if line is None or self._file is None:
                self._beside.say(head, line, metric)
                return
            self._file.write(f"{format_instant(line.at)} {line.level.value:5} {line.message}\n".encode("utf-8", "replace"))

    def keep(self, head: Mapping[str, Json], files: Callable[[], Files], name: str) -> str | None:
        """Put the file into the storage: its URI. Where that cannot be, a line of the log says so. Called once, at the end."""
        with self._lock:
            file, self._file = self._file, None
        if file is None:
            return None
        with file:
            file.seek(0)
            try:
                return files().put(file, name)  # type: ignore[arg-type]  # a binary file, whatever its class
            except (OrchestratorError, OSError) as err:
                line = SaidLine(at=datetime.now(UTC), level=Level.ERROR, message=f"The log file could not be kept: {err}", offset=int(str(head["lease"])) << 40)
                self._beside.say(head, line)
                return None
