"""Tells triggers of the states that executions of other flows reach, and starts what they start, saved with the state itself."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING

from babel.dates import LOCALTZ

from orchestrator.engine.trigger_events import Heard
from orchestrator.engine.view import ExecutionView
from orchestrator.engine.windows import come
from orchestrator.errors import OrchestratorError
from orchestrator.lang.conditions import Judge
from orchestrator.lang.functions.zones import zone
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.runtime.ears import Ears
from orchestrator.runtime.hearing import News
from orchestrator.runtime.trigger_entries import Entry
from orchestrator.runtime.trigger_firing import Firing, Start
from orchestrator.runtime.turn import Turn
from orchestrator.sdk import Gathering, ListeningTrigger

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor
    from orchestrator.runtime.scheduler import Scheduler


class Listening:
    """All of it happens in the turn in which the execution reaches the state."""

    def __init__(self, executor: Executor, scheduler: Scheduler, firing: Firing) -> None:
        self._executor, self._scheduler, self._firing = executor, scheduler, firing
        self.ears = Ears()

    def heard(self, turn: Turn, view: ExecutionView, state: State) -> None:
        """An execution has reached a state."""
        execution = view.execution
        if execution.kind not in (None, "NORMAL"):
            return
        news = News(view, state)
        for entry in self.ears.of((execution.namespace, execution.flow_id)):
            try:
                self._one(turn, entry, news)
            except Exception as err:  # whatever it does must never hold up the execution it hears of
                traceback.print_exc()
                self._scheduler.say(turn, entry, Level.ERROR, f"It could not hear of execution {execution.id}: {type(err).__name__}: {err}")

    def _one(self, turn: Turn, entry: Entry, news: News) -> None:
        reading, standing, declared = entry.reading, entry.standing.state, self._scheduler.declared(entry)
        if reading is None or standing is None or declared is None or not reading.definition.runs or standing.disabled:
            return
        trigger, conditions = reading.trigger, reading.conditions
        if not isinstance(trigger, ListeningTrigger) or conditions is None or news.state not in trigger.heard_states:
            return
        names = self._executor.dispatcher.head_context(news.view, None, declared[1].raw)
        judge = self._firing.judge_of(*declared, news.variables, names, news.facts)
        try:
            if not conditions.hold(judge):
                return
        except OrchestratorError as err:
            self._tell(turn, entry, f"Its conditions cannot be tested on execution {news.id}: {err}")
            return
        outputs = self._gathered(turn, entry, trigger, judge, news)
        if outputs is not None:
            variables = {**news.variables, **({"outputs": outputs} if outputs else {})}
            start = Start(self._executor.new_id(), variables, names=names, correlation=news.correlation, lacking=True)
            self._start(turn, entry, declared, start, news)

    def _gathered(self, turn: Turn, entry: Entry, trigger: ListeningTrigger, judge: Judge, news: News) -> Mapping[str, Json] | None:
        """The outputs of all executions that have come together; None while something is waited for."""
        outputs: dict[str, Json] = dict(news.facts.outputs)
        state, complete = entry.standing.state, True
        assert state is not None
        windows = dict(state.windows)
        for gathering in trigger.gatherings():
            place = zone(gathering.window.timezone) if gathering.window.timezone is not None else LOCALTZ
            found = come(gathering, windows.pop(gathering.id, None), self._met(turn, entry, gathering, judge, news), outputs, turn.now, place)
            if found.window is not None:
                windows[gathering.id] = found.window
            complete, outputs = complete and found.complete, {**outputs, **(found.outputs or {})}
        if complete or windows != state.windows:
            self._scheduler.apply(turn, entry, Heard(windows, complete))
        return outputs if complete else None

    def _met(self, turn: Turn, entry: Entry, gathering: Gathering, judge: Judge, news: News) -> frozenset[str]:
        """The parts that this execution meets; one that cannot be tested is not met."""
        met = set()
        for name, part in gathering.parts.items():
            try:
                if judge.tests(part):
                    met.add(name)
            except OrchestratorError as err:
                self._tell(turn, entry, f"`{name}` cannot be tested on execution {news.id}: {err}")
        return frozenset(met)

    def _start(self, turn: Turn, entry: Entry, declared: tuple[Flow, TriggerSpec], start: Start, news: News) -> None:
        """Start what was heard of; what cannot be started is told in the trigger's log, and nothing is."""
        try:
            execution = self._firing.execution(*declared, start, turn.now)
        except (OrchestratorError, ValueError) as err:
            self._tell(turn, entry, f"No execution could be started for execution {news.id}: {err}")
            return
        self._executor.begin_later(turn, declared[0], execution)

    def _tell(self, turn: Turn, entry: Entry, message: str) -> None:
        self._scheduler.say(turn, entry, Level.WARN, message)
