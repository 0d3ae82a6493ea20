"""After a restart: all that is not saved is asked for again, and nothing that is saved is done twice."""

from __future__ import annotations

from engine_driving import SECOND, Driver, a_flow, fail, log, of

from orchestrator.engine.events import Evaluate, KillAsked, RunReceived, RunStopped, SetTimer, TimerKind
from orchestrator.engine.reconcile import reconcile
from orchestrator.model.state import State


def _mid_question(flow_task: dict[str, object], **fields: object) -> Driver:
    driven = Driver(a_flow(flow_task, **fields), inputs={"x": True})
    driven.answering = False
    return driven.start()


def test_an_execution_that_never_began_begins() -> None:
    driven = Driver(a_flow(log("a"))).restart()
    assert driven.go_on().state is State.SUCCESS


def test_open_questions_are_asked_again() -> None:
    for task in (log("a", runIf="{{ inputs.x }}"), of("ForEach", "each", log("t"), values='["1"]')):
        driven = _mid_question(task)
        asked = list(driven.unanswered)
        driven.restart()
        assert driven.unanswered == asked
        driven.answering = True
        driven.answer()
        assert driven.go_on().state is State.SUCCESS


def test_the_outputs_of_the_flow_are_asked_for_again() -> None:
    driven = _mid_question(log("a"), outputs=[{"id": "k", "type": "STRING", "value": "v"}])
    driven.work_one()
    driven.restart()
    assert driven.unanswered == [Evaluate(None, "outputs", {"k": "v"})]


def test_runs_that_were_sent_are_not_sent_again() -> None:
    driven = Driver(a_flow(of("Parallel", "p", log("a"), log("b")), log("c"))).start()
    sent = list(driven.waiting)
    driven.restart()
    assert list(driven.waiting) == sent
    assert driven.go_on().state is State.SUCCESS


def test_timers_are_set_again() -> None:
    driven = Driver(a_flow(log("a", queueTimeout="PT9S", timeout="PT5S"))).start()
    run = driven.one("a")
    assert driven.restart().timers == [SetTimer(TimerKind.QUEUE_TIMEOUT, driven.now + 9 * SECOND, run.id)]
    driven.send(RunReceived(run.id, 1, "w", driven.now))
    assert driven.restart().timers == [SetTimer(TimerKind.TIMEOUT, driven.now + 5 * SECOND, run.id)]


def test_a_retry_is_waited_for_again() -> None:
    driven = Driver(a_flow(fail("a", retry={"type": "constant", "interval": "PT7S", "maxAttempts": 2}))).start()
    driven.work_one()
    assert driven.restart().timers == [SetTimer(TimerKind.RETRY, driven.now + 7 * SECOND, driven.one("a").id)]
    assert (driven.go_on().state, len(driven.one("a").attempts)) == (State.FAILED, 2)


def test_a_kill_goes_on() -> None:
    driven = Driver(a_flow(of("Sequential", "s", log("a")))).start()
    driven.send(KillAsked())
    driven.restart()
    assert driven.state.value == "KILLING"
    driven.send(RunStopped(driven.one("a").id, 1))
    assert driven.state is State.KILLED


def test_an_ended_or_a_healthy_execution_needs_nothing() -> None:
    ended = Driver(a_flow(log("a"))).run()
    running = Driver(a_flow(of("ForEach", "each", log("a"), values='["1", "2"]'))).start()
    for driven in (ended, running):
        assert reconcile(driven.view, driven.now, driven.resolve, driven.new_id).empty
