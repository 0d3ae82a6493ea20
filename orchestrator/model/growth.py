"""What is asked of an autoscaler for a worker group, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model.resources import Resources
from orchestrator.model.values import Frozen, Instant


@dataclass(frozen=True)
class Ask:
    """Machines of a group that are to come: `workers` of `slots` each, and one that has each of `bundles` free. Those of
    `beside` were there when it was decided, and are not what is asked for."""

    group: str
    workers: int = 0
    slots: int = 1
    bundles: tuple[Resources, ...] = ()
    beside: frozenset[str] = frozenset()

    @property
    def machines(self) -> int:
        """How many at most."""
        return self.workers + len(self.bundles)


class Growth(Frozen):
    """`wanted` machines have been asked for and have not come, since `since` without one coming; `starting` have come and
    their workers are not up yet. `overdue`: they should have come long ago. `provider` is what the one who rents them says."""

    group: str
    wanted: int = 0
    starting: int = 0
    since: Instant | None = None
    overdue: bool = False
    provider: tuple[str, ...] = ()
