"""What a plan may do beside running its tasks once: wait to be resumed first, or begin again until something holds."""

from __future__ import annotations

from datetime import timedelta

from orchestrator.model.flow import Input, TaskSpec
from orchestrator.model.state import State
from orchestrator.model.values import Frozen, Json


class Wait(Frozen):
    """A plan's tasks run once somebody resumes the execution, or after `length` (None: only when it is resumed).

    When the length has passed the flowable ends in `overdue`: SUCCESS and WARNING let its tasks run first. `inputs` are
    asked of whoever resumes it; `beside` are tasks that run meanwhile.
    """

    length: timedelta | None = None
    overdue: State = State.SUCCESS
    inputs: tuple[Input, ...] = ()
    beside: tuple[TaskSpec, ...] = ()


class Repeat(Frozen):
    """A plan's tasks run again, each time `interval` after they have ended, until `condition` renders to something true.

    After `most` rounds, or `longest` after the first began (None: no bound), it ends in `spent`. The output
    `iterationCount` counts the rounds from 1; only the last round's task runs are kept.
    """

    condition: Json
    interval: timedelta
    most: int | None = None
    longest: timedelta | None = None
    spent: State = State.SUCCESS
