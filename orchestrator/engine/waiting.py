"""A run on its way along the places it asked for: whether it stays in a line, goes on to the next place, or is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.engine.wishes import Step, Wish
from orchestrator.model.flow import Fallback
from orchestrator.model.reason import PassedOver, Reason
from orchestrator.model.resources import Resources
from orchestrator.model.state import State
from orchestrator.model.values import format_duration


@dataclass(frozen=True)
class Standing:
    """How a target stands just now."""

    groups: tuple[str, ...] = ()  # those that would do and have a worker or a declaration
    up: int = 0  # workers that take runs
    starting: int = 0
    slots: int = 0
    used: int = 0
    fits: int = 0  # live workers whose machine could have the resources asked for
    asked_for: int = 0  # machines that were asked of an autoscaler and have not come
    may_grow: bool = False  # an autoscaler may bring another machine
    jobs: int | None = None  # watched by the supervisors of the target; None: it is no such target

    @property
    def live(self) -> bool:
        """Whether some worker takes such runs, now or as soon as one can be there."""
        return self.fits > 0 or self.may_grow


@dataclass(frozen=True, slots=True)
class Queued:
    """A run at one step of its wish. `patient_until`: a worker that was just lost may be back by then, and counts as live."""

    wish: Wish
    since: datetime  # when it came to that step
    at: int = 0
    passed: tuple[PassedOver, ...] = ()
    resources: Resources | None = None
    patient_until: datetime | None = None

    @property
    def step(self) -> Step:
        return self.wish.steps[self.at]

    @property
    def deadline(self) -> datetime | None:
        """When it must be looked at again if no slot was found; None: whenever workers come and go, or never."""
        if self.step.wait is None:
            return None
        return self.patient_until if self.step.if_live else self.since + self.step.wait

    @property
    def may_move(self) -> bool:
        return self.step.wait is not None


def moves_on(queued: Queued, standing: Standing, now: datetime) -> bool:
    """Whether a run that was not taken leaves its step."""
    step = queued.step
    if step.wait is None:
        return False
    if step.if_live:
        return not standing.live and (queued.patient_until is None or now >= queued.patient_until)
    return now >= queued.since + step.wait


def passed_over(queued: Queued, reason: Reason, detail: str, now: datetime) -> Queued:
    """The run with a note of why its step did not take it."""
    noted = PassedOver(place=queued.step.name, reason=reason, detail=detail, waited=max(timedelta(), now - queued.since))
    return replace(queued, passed=(*queued.passed, noted))


def at_next_step(queued: Queued, now: datetime) -> Queued | None:
    """The run at its next step; None when it was at the last."""
    following = queued.at + 1
    return replace(queued, at=following, since=now, patient_until=None) if following < len(queued.wish.steps) else None


def at_default(queued: Queued, now: datetime) -> Queued:
    """The run in the default group, as one for which no step of its chain was meant."""
    chain = replace(queued.wish, steps=(*queued.wish.steps, Step(group="")))
    return replace(queued, wish=chain, at=len(queued.wish.steps), since=now)


def reason_of(standing: Standing, resources: Resources | None, *, reserved: bool) -> Reason:
    """Why a run in line is not taken."""
    if not standing.live:
        return Reason.SCALING_UP if standing.asked_for or standing.starting else Reason.NO_LIVE_WORKER
    if resources is not None:
        return Reason.NO_ROOM_FOR_RESOURCES if standing.fits and not standing.asked_for else Reason.SCALING_UP
    if reserved:
        return Reason.RESERVED_FOR_OTHERS
    if not standing.up or standing.asked_for:
        return Reason.SCALING_UP
    return Reason.AT_CAPACITY


def told(reason: Reason, standing: Standing, step: Step, resources: Resources | None) -> str:
    """The same in words, with figures."""
    where = step.name
    match reason:
        case Reason.NO_LIVE_WORKER if resources is not None and standing.up:
            return f"none of the {standing.up} workers up in {where} has a machine with {resources}"
        case Reason.NO_LIVE_WORKER:
            return f"no worker is up in {where}"
        case Reason.SCALING_UP:
            return _coming(standing, where)
        case Reason.NO_ROOM_FOR_RESOURCES:
            return f"no machine of {where} has {resources} free"
        case Reason.RESERVED_FOR_OTHERS:
            return f"the slots that are free in {where} are kept for other namespaces"
    if standing.jobs is not None:
        return f"{standing.jobs} jobs launched from {where} are being watched, the most at once"
    return f"all {standing.slots} slots of {where} are in use"


def _coming(standing: Standing, where: str) -> str:
    count, what = (standing.asked_for, "more worker{s} asked for in") if standing.asked_for else (standing.starting, "worker{s} starting in")
    if not count:
        return f"no worker is up in {where}: one is about to be asked for"
    return f"{count} {what.format(s='s' if count > 1 else '')} {where}"


def refusal(queued: Queued) -> tuple[State, str]:
    """What becomes of a run that its last step has passed over, and what is said of it."""
    if queued.wish.is_written_chain:
        tried = "; ".join(f"{one.place}: {one.detail or one.reason} (after {format_duration(one.waited)})" for one in queued.passed)
        return State.FAILED, f"No place of its placement took it: {tried}"
    state = State.CANCELLED if queued.wish.fallback is Fallback.CANCEL else State.FAILED
    asked = f" with {queued.resources}" if queued.resources is not None else ""
    return state, f"No workers are available for {queued.step.name}{asked}"
