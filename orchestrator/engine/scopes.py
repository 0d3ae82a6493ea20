"""What comes next under a leader: the next tasks, the next iterations, `errors`, `finally`, the end."""

from __future__ import annotations

from orchestrator.engine.counters import FAILED, RANK, STATE_OF_RANK, BranchKey
from orchestrator.engine.draft import Advance, Begin, Draft
from orchestrator.engine.endings import end_execution, end_run
from orchestrator.engine.leads import Lead, Roster
from orchestrator.model.flow import TaskSpec
from orchestrator.model.state import Lifecycle, State
from orchestrator.sdk.task import Order


def advance(draft: Draft, touched: Advance) -> None:
    """Start what may start under a leader now, or end it when nothing is left."""
    if _over(draft, touched.leader):
        return
    if draft.killing:
        if not draft.counters.active(touched.leader):
            _end(draft, touched.leader, State.KILLED)
        return
    lead = draft.lead(touched.leader)
    for roster in (lead.main, lead.errors, lead.finally_):
        if roster is lead.errors and not _failed(draft, lead):
            continue
        _fill(draft, lead, roster, touched.iteration if touched.branch == roster.branch else None)
        if draft.counters.branch((lead.owner, roster.branch)).active:
            return
    _end(draft, lead.owner, end_state(draft, lead))


def _over(draft: Draft, leader: str | None) -> bool:
    if leader is None:
        return draft.execution.state.current.ended
    return draft.known(leader).state.current.ended


def _failed(draft: Draft, lead: Lead) -> bool:
    """Whether `errors` has cause to run: a failure, and not a cancellation or a kill."""
    return draft.counters.branch((lead.owner, lead.main.branch)).worst == FAILED


def _fill(draft: Draft, lead: Lead, roster: Roster, iteration: int | None) -> None:
    """Create every run that may begin. After a failure nothing new begins; what goes on may end."""
    key = (lead.owner, roster.branch)
    if draft.counters.branch(key).worst >= FAILED:
        return
    if roster.values is None:
        _fill_list(draft, lead, roster, None)
        return
    if iteration is not None:
        _fill_list(draft, lead, roster, iteration)
    idle = draft.view.idle.get(key)
    while idle and _room(draft, key, roster):
        _fill_list(draft, lead, roster, idle.popleft())
    while (begun := draft.counters.branch(key).begun) < len(roster.values) and _room(draft, key, roster):
        _fill_list(draft, lead, roster, begun)


def _room(draft: Draft, key: BranchKey, roster: Roster) -> bool:
    """Whether one more iteration of a loop may go on."""
    return not roster.limit or draft.counters.branch(key).busy < roster.limit


def _fill_list(draft: Draft, lead: Lead, roster: Roster, iteration: int | None) -> None:
    key = (lead.owner, roster.branch, iteration)
    limit = roster.limit if iteration is None else 0
    match roster.order:
        case Order.SEQUENTIAL:
            following = None if draft.counters.list(key).active else roster.after(draft.counters.list(key).last)
            if following is not None:
                _create(draft, lead, roster, following, iteration)
        case Order.PARALLEL:
            while (not limit or draft.counters.list(key).active < limit) and (spec := roster.after(draft.counters.list(key).last)) is not None:
                _create(draft, lead, roster, spec, iteration)
        case Order.GRAPH:
            for spec in roster.tasks:
                room = not limit or draft.counters.list(key).active < limit
                if room and draft.counters.at((*key, spec.id)) is None and _ready(draft, lead, roster, spec, iteration):
                    _create(draft, lead, roster, spec, iteration)


def _ready(draft: Draft, lead: Lead, roster: Roster, spec: TaskSpec, iteration: int | None) -> bool:
    """Whether all that a task of a graph waits for has ended well; a disabled task holds nothing up."""
    for needed in roster.waits_for.get(spec.id, ()):
        if needed not in roster.position:
            continue
        run_id = draft.counters.at((lead.owner, roster.branch, iteration, needed))
        if run_id is None:
            return False
        state = draft.known(run_id).state.current
        if not state.ended or state.failed:
            return False
    return True


def _create(draft: Draft, lead: Lead, roster: Roster, spec: TaskSpec, iteration: int | None) -> None:
    made = {
        "id": draft.new_id(),
        "task_id": spec.id,
        "seq": draft.made,
        "parent_id": lead.owner,
        "branch": roster.branch,
        "value": roster.values[iteration] if roster.values is not None and iteration is not None else None,
        "iteration": iteration,
        "state": Lifecycle.begin(draft.now),
    }
    run = draft.view.blank.model_copy(update=made)
    draft.made += 1
    draft.put(run)
    draft.todo.append(Begin(run.id))


def end_state(draft: Draft, lead: Lead) -> State:
    """What the ends of all its children make of a leader."""
    worst = max(draft.counters.branch((lead.owner, roster.branch)).worst for roster in (lead.main, lead.errors, lead.finally_))
    return lead.on_failure if worst == RANK[State.FAILED] else STATE_OF_RANK[worst]


def _end(draft: Draft, leader: str | None, state: State) -> None:
    if leader is None:
        end_execution(draft, state)
    else:
        end_run(draft, draft.known(leader), state)
