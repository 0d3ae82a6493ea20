"""Who may take the next free slot of a group that keeps some for certain namespaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from orchestrator.model.worker_group import Reserved, ReservedMode

May = Callable[[str], bool]  # whether a namespace may take a slot


def share_of(reserved: Reserved, slots: int) -> int:
    """How many slots of a group a reservation keeps: at least one, if there are any."""
    return min(slots, max(1, slots * reserved.percent // 100))


def who_may(reserved: Sequence[Reserved], slots: int, used: Mapping[str, int], wanting: Iterable[str]) -> May:
    """Which namespaces may take one more of a group's `slots`.

    `used` counts the slots that each namespace holds now, `wanting` are the namespaces with a run in line. A strict share is
    never given to others; an elastic one is, until one of those it is for stands in line: then what comes free is theirs
    first, and nothing is taken away.
    """
    if not reserved:
        return lambda namespace: sum(used.values()) < slots
    wanting, free = tuple(wanting), slots - sum(used.values())
    kept = [(one, _kept(one, slots, used, wanting)) for one in reserved]

    def may(namespace: str) -> bool:
        return free > sum(count for one, count in kept if not one.is_for(namespace))

    return may


def _kept(one: Reserved, slots: int, used: Mapping[str, int], wanting: Sequence[str]) -> int:
    """How many free slots are kept for a reservation just now."""
    missing = max(0, share_of(one, slots) - sum(count for namespace, count in used.items() if one.is_for(namespace)))
    wanted = one.mode is ReservedMode.STRICT or any(one.is_for(namespace) for namespace in wanting)
    return missing if wanted else 0
