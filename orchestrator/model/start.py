"""A start that failed: the place could not begin a job's command."""

from __future__ import annotations

from orchestrator.model.values import Frozen

BOUND = "BOUND"  # the kind of a start that was not through when its time was over


class FailedStart(Frozen):
    """What an outcome says of it; why, in the place's own words, is the outcome's error.

    `kind` is one of IMAGE, CAPACITY, RECLAIMED, LOST, BOUND, SERVICE. `climbs`: the next start would ask for something
    else (on-demand capacity in place of spot), so that it need not be counted.
    """

    kind: str
    climbs: bool = False
