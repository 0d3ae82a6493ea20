"""What an emulator is told to get wrong, and how often."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal, get_args

Kind = Literal[
    "throttle",  # a call is answered RESOURCE_EXHAUSTED
    "unavailable",  # a call is answered UNAVAILABLE, and nothing done
    "lose-answer",  # a call is done and answered UNAVAILABLE
    "slow-answer",  # a call is answered after `seconds`
    "stuck-queued",  # a job stays QUEUED, as where there is no capacity
    "stuck-scheduled",  # a job stays SCHEDULED
    "slow-start",  # a job is QUEUED for `seconds`
    "reclaim",  # a spot machine is taken back after `seconds` of running (exit code 50001)
    "machine-lost",  # a machine no longer answers after `seconds` of running (exit code 50004)
    "empty-list",  # ListJobs lacks everything
    "delay-logs",  # all entries of a job can be read `seconds` late
    "late-log",  # one entry of a job can be read `seconds` late
    "glue-logs",  # a job's lines come several in one entry
]
KINDS = get_args(Kind)


@dataclass(frozen=True)
class Fault:
    """One kind of failure, `times` in a row. `method` is that of a call (`CreateJob`), `job` a part of a job's id; empty means any."""

    kind: Kind
    times: int = 1
    method: str = ""
    job: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such fault `{self.kind}`: {', '.join(KINDS)}")


class Faults:
    """Those ordered and not yet used up; and how often each method was called. Safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ordered: list[Fault] = []
        self.calls: Counter[str] = Counter()

    def order(self, fault: Fault) -> None:
        """Have it happen the next `times` times that it can."""
        with self._lock:
            self._ordered.append(fault)

    def forget(self) -> None:
        """Get everything right from now on."""
        with self._lock:
            self._ordered.clear()

    def take(self, kind: Kind, *, method: str = "", job: str = "") -> Fault | None:
        """The fault to commit now, counted as committed; None to get it right."""
        with self._lock:
            for at, fault in enumerate(self._ordered):
                if fault.kind == kind and fault.method in ("", method) and fault.job in job:
                    self._ordered[at : at + 1] = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                    return fault
        return None

    def count(self, method: str) -> None:
        with self._lock:
            self.calls[method] += 1
