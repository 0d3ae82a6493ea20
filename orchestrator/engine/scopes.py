"""What comes next under a leader: the next tasks, the next iterations, `errors`, `finally`, the end."""

from __future__ import annotations

from orchestrator.engine.aftermath import ask_listeners, rosters
from orchestrator.engine.counters import FAILED, RANK, STATE_OF_RANK, BranchKey
from orchestrator.engine.draft import Advance, Begin, Draft
from orchestrator.engine.endings import close_execution, end_execution, end_run
from orchestrator.engine.events import CloseFolder
from orchestrator.engine.leads import Lead, Roster
from orchestrator.engine.repeating import ask_until
from orchestrator.engine.sla import ask_assertions, end_by_sla
from orchestrator.engine.standing import is_home, lacks_folder
from orchestrator.model.flow import TaskSpec
from orchestrator.model.state import Lifecycle, State
from orchestrator.sdk.task import Order


def advance(draft: Draft, touched: Advance, *, kept: bool = False) -> None:
    """Start what may start under a leader now, or end it when nothing is left. `kept`: the flow's assertions were looked at."""
    if touched.leader is None and draft.execution.state.current.ended:
        _advance_after(draft, touched)
    elif touched.leader is not None and draft.known(touched.leader).state.current.ended:
        return
    elif touched.leader is not None and lacks_folder(draft.known(touched.leader)):
        return  # it is not ready, or lost with its worker
    elif _winds_up(draft, touched.leader):
        _wind_up(draft, touched.leader)
    elif touched.leader is not None and draft.known(touched.leader).state.current is State.PAUSED:
        _fill_others(draft, touched)
    elif not draft.held and not (touched.leader is None and not kept and ask_assertions(draft)):
        _go_on(draft, touched)


def _go_on(draft: Draft, touched: Advance) -> None:
    """Fill one list after the other of a leader that may run; end it once the last is through."""
    lead = draft.lead(touched.leader)
    for roster in (lead.main, lead.errors, lead.finally_):
        if (roster is lead.errors and not _failed(draft, lead)) or (roster is lead.main and lead.ends.failed):
            continue
        leaves = _leaves(draft, lead) is not None and roster is not lead.finally_
        if not leaves:
            _fill(draft, lead, roster, touched.iteration if touched.branch == roster.branch else None)
        if draft.counters.branch((lead.owner, roster.branch)).active:
            return
        if roster is lead.main and lead.repeat is not None and not leaves and not _failed(draft, lead):
            ask_until(draft, lead, lead.repeat)
            return
    if not draft.counters.active(lead.owner):  # what runs beside it, too
        _end(draft, lead.owner, end_state(draft, lead))


def _winds_up(draft: Draft, leader: str | None) -> bool:
    """Whether nothing new begins under it: all is stopped, or another execution is made in place of this one."""
    if leader is not None and draft.execution.state.current.ended:
        return draft.known(leader).state.current is State.KILLING
    return draft.killing or draft.counters.retried > 0


def _wind_up(draft: Draft, leader: str | None) -> None:
    """End a leader under which nothing new begins, once nothing is left."""
    if draft.counters.active(leader):
        return
    if not draft.killing:
        waits = leader is not None and draft.known(leader).state.current is State.PAUSED
        _end(draft, leader, State.KILLED if waits else State.RETRIED)
    elif leader is None:
        close_execution(draft, end_by_sla(draft.view.flow, draft.execution) or State.KILLED)
    else:
        _end(draft, leader, State.KILLED)


def _leaves(draft: Draft, lead: Lead) -> State | None:
    """What a leader ends in because the execution is to end; None for one that goes on: what `finally` has begun since."""
    leaving = draft.leaving
    if leaving is None or (lead.owner is not None and draft.known(lead.owner).seq >= leaving.seq):
        return None
    return leaving.state


def _fill_others(draft: Draft, touched: Advance) -> None:
    """Start what runs beside a leader that waits to be resumed; how it ends changes nothing."""
    lead = draft.lead(touched.leader)
    for roster in lead.others:
        _fill(draft, lead, roster, None)


def _advance_after(draft: Draft, touched: Advance) -> None:
    """Start what runs once the execution has ended, one list after the other; the failure of one keeps none from running."""
    if ask_listeners(draft):
        return
    lists = rosters(draft)
    if any(draft.counters.branch((None, roster.branch)).worst == RANK[State.KILLED] for roster in lists):
        return
    for roster in lists:
        _fill(draft, draft.view.root, roster, None)
        if draft.counters.branch((None, roster.branch)).active:
            return


def _failed(draft: Draft, lead: Lead) -> bool:
    """Whether `errors` has cause to run: a failure, and not a cancellation or a kill."""
    worst = draft.counters.branch((lead.owner, lead.main.branch)).worst
    return worst == FAILED or (lead.ends is State.FAILED and worst < FAILED)


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
        "seq": draft.seq,
        "parent_id": lead.owner,
        "branch": roster.branch,
        "value": roster.values[iteration] if roster.values is not None and iteration is not None else None,
        "iteration": iteration,
        "state": Lifecycle.begin(draft.now),
    }
    run = draft.view.blank.model_copy(update=made)
    draft.seq += 1
    draft.put(run)
    draft.todo.append(Begin(run.id))


def end_state(draft: Draft, lead: Lead) -> State:
    """What the ends of all its children make of a leader; one in which a task ended the execution ends as that."""
    if (leaves := _leaves(draft, lead)) is not None:
        return leaves
    worst = max(draft.counters.branch((lead.owner, roster.branch)).worst for roster in (lead.main, lead.errors, lead.finally_))
    worst = max(worst, RANK.get(lead.ends, 0))
    return lead.on_failure if worst == RANK[State.FAILED] else STATE_OF_RANK[worst]


def _end(draft: Draft, leader: str | None, state: State) -> None:
    if leader is None:
        end_execution(draft, state)
    elif not is_home(run := draft.known(leader)):
        end_run(draft, run, state)
    elif run.state.current is not State.KILLING:
        draft.commands.append(CloseFolder(run.id, run.lease))
