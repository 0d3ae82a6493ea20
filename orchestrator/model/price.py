"""What places cost: entries with a date and a source, found by what a job says of its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from orchestrator.model.values import Frozen, Json

WORKER_GROUP = "worker-group"  # the service that stands for a slot of a worker, its `machine` the group's key ("default" for the default group)
MIB_PER_GIB = 1024
SECONDS_PER_HOUR = 3600
CURRENCY = "USD"


class Price(Frozen):
    """The price of one kind of place, in US dollars: for the whole of it, and for each vCPU and GiB asked for.

    `region` and `machine` None fit any. Fractions of a second are not billed apart; less than `least_seconds` is billed as that.
    """

    service: str
    region: str | None = None
    machine: str | None = None
    spot: bool = False
    usd_per_hour: float = Field(0.0, ge=0)
    usd_per_vcpu_hour: float = Field(0.0, ge=0)
    usd_per_gib_hour: float = Field(0.0, ge=0)
    least_seconds: float = Field(0.0, ge=0)
    date: str  # when it was read there
    source: str

    def fits(self, key: Mapping[str, Json]) -> bool:
        """Whether it is the price of such a place. One for vCPUs and GiB fits only where they are told."""
        if self.service != key.get("service") or self.spot != bool(key.get("spot", False)):
            return False
        told = all(mine is None or mine == key.get(name) for name, mine in (("region", self.region), ("machine", self.machine)))
        return told and (not self.usd_per_vcpu_hour or key.get("vcpu") is not None) and (not self.usd_per_gib_hour or key.get("memory_mib") is not None)

    def of(self, key: Mapping[str, Json], seconds: float) -> float:
        """What so many seconds of that place cost, in US dollars."""
        sized = self.usd_per_vcpu_hour * float(key.get("vcpu") or 0) + self.usd_per_gib_hour * float(key.get("memory_mib") or 0) / MIB_PER_GIB
        return (self.usd_per_hour + sized) * max(seconds, self.least_seconds) / SECONDS_PER_HOUR


def price_of(book: Sequence[Price], key: Mapping[str, Json]) -> Price | None:
    """The first entry that fits; None: the book does not know."""
    return next((price for price in book if price.fits(key)), None)
