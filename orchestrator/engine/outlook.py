"""What would become of a run if it began now, by the groups' standing: it goes, it waits, or it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.engine.wishes import Step, Wish
from orchestrator.model.flow import Fallback
from orchestrator.model.plan import GroupStanding, Outlook, PlannedStep
from orchestrator.model.surroundings import KnownGroups
from orchestrator.sdk.template import is_template


@dataclass(frozen=True)
class Live:
    """The groups that are known, and those that have workers or work, as they are now."""

    known: KnownGroups
    standings: Mapping[str, GroupStanding]

    def of(self, key: str) -> GroupStanding:
        return self.standings.get(key) or GroupStanding(key=key)


def seen(step: Step, namespace: str, live: Live) -> tuple[tuple[GroupStanding, ...], str | None]:
    """The groups that a step means and that its namespace may use, and why it could never be taken."""
    known = live.known
    if step.runner is not None or is_open(step):
        return (), None
    if step.tags:
        found = known.matching(frozenset(step.tags), step.match)
        mine = tuple(live.of(key) for key in found if known.allows(key, namespace))
        kept = f"all of them are kept for other namespaces than {namespace}" if found and not mine else None
        return mine, kept
    key = step.group or ""
    if not known.knows(key):
        near = known.nearest(key)
        return (), f"no worker group '{key}' is declared" + (f"; did you mean `{near}`?" if near else "")
    if not known.allows(key, namespace):
        return (), f"it takes no work of namespace {namespace}"
    return (live.of(key),), None


def is_open(step: Step) -> bool:
    """Whether an expression that only a run can answer says which place it is."""
    return any(is_template(text) for text in (step.group, *step.tags))


def outlook(wish: Wish, steps: Sequence[Step], shown: Sequence[PlannedStep], *, takes_no_slot: bool) -> tuple[Outlook, str]:
    """What becomes of the run, and why, with the steps that are passed over on the way."""
    passed: list[str] = []
    patient = False  # whether a step on the way is waited for
    for step, one in zip(steps, shown, strict=True):
        how, why = _at(step, one, takes_no_slot=takes_no_slot)
        if how is not None:
            return (Outlook.WAITS if how is Outlook.NOW and patient else how), "; then ".join([*passed, why])
        patient = patient or _patience(step)
        passed.append(f"{why}, for at most {one.wait}" if _patience(step) else why)
    return (Outlook.CANCELLED if wish.fallback is Fallback.CANCEL else Outlook.FAILS), "; then ".join(passed)


def _at(step: Step, shown: PlannedStep, *, takes_no_slot: bool) -> tuple[Outlook | None, str]:
    """What becomes of it at one step; None with the reason when the next is tried."""
    if step.runner is not None:
        return Outlook.NOW, shown.place
    if is_open(step):
        return Outlook.OPEN, f"{shown.place} is known once it runs"
    if shown.refused is not None:
        return Outlook.FAILS, f"{shown.place}: {shown.refused}"
    workers, free = sum(group.workers for group in shown.groups), sum(group.free for group in shown.groups)
    told = f"{shown.place}: {_standing(shown.groups)}"
    if free > 0 or (workers and takes_no_slot):
        return Outlook.NOW, told
    comes = workers or any(group.may_grow for group in shown.groups)
    if shown.wait is None and (comes or not step.if_live):
        return Outlook.WAITS, told
    return None, told


def _patience(step: Step) -> bool:
    return step.wait is not None and bool(step.wait)


def _standing(groups: Sequence[GroupStanding]) -> str:
    if not groups:
        return "no group has these tags"
    return ", ".join(f"{group.key or 'default'}: {group}" for group in groups) if len(groups) > 1 else str(groups[0])
