"""Schedules in an executor by a clock that is set: each date starts one execution, wherever the executor dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.model.state import State
from tests.unit.runtime.clock_house import ZERO, Clock, Hour, hour

EVERY = 'id: t, type: io.kestra.plugin.core.trigger.Schedule, cron: "* * * * *", timezone: UTC'
MINUTELY = f"{{{EVERY}}}"
SLEEP = "{id: s, type: io.kestra.plugin.core.flow.Sleep, duration: PT30S}"


def by_the_clock(folder: Path, check: Callable[[Hour], Awaitable[None]]) -> None:
    async def run() -> None:
        async with hour(folder) as own:
            await check(own)

    asyncio.run(run())


def test_each_date_starts_an_execution_with_the_dates_beside_it(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        inputs = "inputs: [{id: a, type: STRING}, {id: b, type: STRING, defaults: def}]\nlabels: {flow: f}"
        labels = "labels: {one: 'l', two: \"{{ trigger.date[0:10] }}\", none: '{{ nope }}', empty: '{{ null }}'}"
        await own.save(f"{{{EVERY}, inputs: {{a: '{{{{ schedule is defined ? 1 : trigger.date }}}}'}}, {labels}}}", more=inputs)
        assert own.executions() == []
        own.minutes(1)
        (made,) = await own.until(own.executions)
        dates = {"date": "2024-05-06T12:01:00Z", "next": "2024-05-06T12:02:00Z", "previous": "2024-05-06T12:00:00Z"}
        assert made.trigger is not None
        assert (made.trigger.variables, made.variables) == (dates, {"schedule": dates})
        assert (made.inputs, made.schedule_date) == ({"a": "2024-05-06T12:01:00Z", "b": "def"}, own.clock.now - timedelta(seconds=30))
        given = {label.key: label.value for label in made.labels}
        assert {name: given.get(name) for name in ("flow", "one", "none", "empty")} == {"flow": "f", "one": "l", "none": None, "empty": ""}
        ended = await own.house.ended(made.id)
        assert ended["taskRunList"][0]["outputs"]["value"] == "2024-05-06T12:01:00Z"

    by_the_clock(tmp_path, check)


@pytest.mark.parametrize("saved", [False, True])
def test_wherever_the_executor_dies_each_date_has_started_one_execution(tmp_path: Path, saved: bool) -> None:
    """Five times it dies at its first commit, its second ... : of the date, of the task's sending, of its result."""
    clock = Clock()

    async def one_life(commit: int | None) -> None:
        async with hour(tmp_path, clock) as own:
            if commit == 1:
                await own.save(MINUTELY)
            own.minutes(1)
            if commit is not None:
                own.die_at(commit, saved=saved)
            own.executor.scheduler.stir()
            await own.settled()
            if commit is None:
                await own.until(lambda: not own.executor.live and own.state().execution_id is None and (own.state().next_execution_date or ZERO) > clock.now)
                found = own.executions()
                assert own.dates() == [f"12:{minute:02}" for minute in range(1, len(found) + 1)]
                assert len(found) == lives
                assert {one.current for one in found} == {State.SUCCESS}

    lives = 6
    for commit in (*range(1, lives), None):
        asyncio.run(one_life(commit))


def test_a_clock_that_goes_back_starts_nothing_again(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.save(MINUTELY)
        own.minutes(3)
        await own.until(lambda: own.dates() == ["12:01", "12:02", "12:03"])
        own.minutes(-2)
        await own.save(MINUTELY, more="description: changed")
        await own.save(f"{{{EVERY}, description: changed}}")
        own.minutes(1.5)
        await own.settled()
        assert own.dates() == ["12:01", "12:02", "12:03"]
        own.minutes(1)
        await own.until(lambda: own.dates() == ["12:01", "12:02", "12:03", "12:04"])

    by_the_clock(tmp_path, check)


def test_the_next_waits_for_the_execution_of_the_last_unless_told_not_to(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.save(MINUTELY, task=SLEEP)
        own.minutes(2)
        await own.until(own.executions)
        reason = await own.reason()
        assert (reason["kind"], reason["evidence"]["executionId"]) == ("WAITING_FOR_EXECUTION", own.executions()[0].id)
        assert own.dates() == ["12:01"]
        await own.save(f"{{{EVERY}, allowConcurrent: true}}", task=SLEEP)
        own.minutes(1)
        await own.until(lambda: len(own.executions()) == 2)
        assert own.dates() == ["12:01", "12:03"]

    by_the_clock(tmp_path, check)


@pytest.mark.parametrize(("recover", "expected"), [("ALL", ["12:01", "12:02", "12:03"]), ("LAST", ["12:03"]), ("NONE", [])])
def test_what_was_missed_while_the_server_was_down_is_made_up_for_as_it_says(tmp_path: Path, recover: str, expected: list[str]) -> None:
    clock = Clock()

    async def before() -> None:
        async with hour(tmp_path, clock) as own:
            await own.save(f"{{{EVERY}, recoverMissedSchedules: {recover}}}")

    async def after() -> None:
        clock.now += timedelta(minutes=3)
        async with hour(tmp_path, clock) as own:
            await own.until(lambda: own.dates() == expected)
            own.minutes(1)
            await own.until(lambda: own.dates() == [*expected, "12:04"])

    asyncio.run(before())
    asyncio.run(after())


def test_conditions_that_cannot_be_tested_and_inputs_that_do_not_come_out_are_failed_executions(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.save(f"{{{EVERY}, conditions: [{{type: core.condition.Expression, expression: '{{{{ nope }}}}'}}]}}")
        own.minutes(1)
        (failed,) = await own.until(own.executions)
        assert (failed.current, own.state().execution_id) == (State.FAILED, None)
        assert any("Unable to evaluate the conditions" in line for line in own.lines())
        await own.save(f"{{{EVERY}, inputs: {{a: no number}}}}", more="inputs: [{id: a, type: INT}]")
        own.minutes(1)
        await own.until(lambda: len(own.executions()) == 2)
        assert {one.current for one in own.executions()} == {State.FAILED}

    by_the_clock(tmp_path, check)


def test_a_date_that_its_conditions_refuse_starts_nothing_and_one_on_dates_is_not_even_due(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.save(f"{{{EVERY}, conditions: [{{type: core.condition.Expression, expression: '{{{{ false }}}}'}}]}}")
        own.minutes(2)
        await own.until(lambda: own.state().date == own.clock.now - timedelta(seconds=30))
        await own.save(f"{{{EVERY}, conditions: [{{type: core.condition.Weekend}}]}}")
        assert own.state().next_execution_date == own.clock.now.replace(day=11, hour=0, minute=0, second=0)
        assert own.executions() == []

    by_the_clock(tmp_path, check)


def test_dates_of_a_list_are_started_in_order_those_that_have_passed_first(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        dates = '["2024-05-06T12:01:00Z", "2024-05-06T11:00:00Z", "2024-05-06T14:00:00+02:00"]'
        await own.save(f"{{id: t, type: io.kestra.plugin.core.trigger.ScheduleOnDates, dates: {dates}, timezone: UTC}}")
        await own.until(lambda: own.dates() == ["11:00", "12:00"])
        own.minutes(1)
        await own.until(lambda: own.dates() == ["11:00", "12:00", "12:01"])
        await own.until(lambda: own.state().next_execution_date is None)

    by_the_clock(tmp_path, check)


def test_a_backfill_makes_up_for_dates_with_inputs_of_its_own_and_then_its_own_go_on(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.save(f"{{{EVERY}, inputs: {{a: own}}}}", more="inputs: [{id: a, type: STRING}]")
        asked = {"start": "2024-05-06T11:00:00Z", "end": "2024-05-06T11:02:30Z", "inputs": {"a": "{{ trigger.date }}"}, "labels": {"made": "up"}}
        name = {"namespace": "house", "flow_id": "f", "trigger_id": "t"}
        state = await own.house.call("backfill", name=name, **asked)
        assert (state["backfill"]["currentDate"], state["backfill"]["previousNextExecutionDate"]) == ("2024-05-06T11:00:00.000Z", "2024-05-06T12:01:00.000Z")
        await own.until(lambda: own.dates() == ["11:00", "11:01", "11:02"])
        own.minutes(1)
        await own.until(lambda: own.dates() == ["11:00", "11:01", "11:02", "12:01"])
        values = {str(one.inputs["a"]) for one in own.executions()}
        assert values == {"own", *(f"2024-05-06T11:0{minute}:00Z" for minute in range(3))}
        assert sum(label.key == "made" for one in own.executions() for label in one.labels) == 3
        for bad, code in (({"start": "2024-05-07T00:00:00Z"}, "refused"), ({**asked, "end": "2024-05-06T10:00:00Z"}, "refused")):
            assert (await own.house.call("backfill", name=name, **bad))["error"]["code"] == code
        assert (await own.ask("pause-backfill"))["error"]["message"] == "No backfill found for trigger t"

    by_the_clock(tmp_path, check)


def test_a_paused_backfill_waits_over_a_restart(tmp_path: Path) -> None:
    clock = Clock()

    async def before() -> None:
        async with hour(tmp_path, clock) as own:
            await own.save(MINUTELY, task=SLEEP)
            await own.house.call("backfill", name={"namespace": "house", "flow_id": "f", "trigger_id": "t"}, start="2024-05-06T11:00:00Z")
            await own.until(own.executions)
            await own.ask("pause-backfill")

    async def after() -> None:
        async with hour(tmp_path, clock) as own:
            backfill = own.state().backfill
            assert backfill is not None
            assert (backfill.paused, backfill.current_date.minute) == (True, 1)
            assert own.state().next_execution_date == clock.now + timedelta(seconds=30)
            await own.ask("delete-backfill")
            assert (own.state().backfill, own.dates()) == (None, ["11:00"])

    asyncio.run(before())
    asyncio.run(after())


def test_schedules_of_an_older_store_get_their_dates(tmp_path: Path) -> None:
    async def before() -> None:
        async with hour(tmp_path) as own:
            await own.save(MINUTELY)
            older = own.state().model_copy(update={"next_execution_date": None})
            await own.executor.do(lambda turn: turn.keep_trigger(older.key, older))
            await own.executor.do(lambda turn: turn.settings.update({"triggers-caught-up": True}))

    async def after() -> None:
        async with hour(tmp_path) as own:
            assert own.state().next_execution_date is not None

    asyncio.run(before())
    asyncio.run(after())


@pytest.mark.alone
def test_many_schedules_that_are_due_together_are_started_in_linear_time(tmp_path: Path) -> None:
    async def seconds(folder: Path, count: int) -> float:
        async with hour(folder) as own:
            triggers = "\n  - ".join(f"{{{EVERY.replace('id: t', f'id: t{at}')}, allowConcurrent: true}}" for at in range(50))
            for at in range(count // 50):
                await own.save(triggers, name=f"f{at}", task=SLEEP)
            began = time.monotonic()
            own.minutes(1)
            await own.until(lambda: own.executor.store.executions(()).total == count, within=60)
            return time.monotonic() - began

    few, many = (tmp_path / name for name in ("few", "many"))
    few.mkdir()
    many.mkdir()
    assert asyncio.run(seconds(many, 1000)) < 6 * asyncio.run(seconds(few, 250)) + 1
