"""What the language gained in later versions: days, identifiers, regular expressions, and functions that look at the execution."""

from __future__ import annotations

import re
from typing import Any

import pytest

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions import Renderer

RENDERER = Renderer()
LOOP = {
    "task": {"id": "inner"},
    "taskrun": {"value": "c", "iteration": 2},
    "parents": [{"taskrun": {"value": "outer"}}],
    "outputs": {"inner": {"outer": {"a": {"value": 1}, "b": {"value": 2}}}, "beside": {"outer": {"a": {"value": "x"}, "b": {}}}},
}
TASKS = {"tasks": {"one": {"state": "FAILED"}, "two": {"state": "SUCCESS"}, "each": {"a": {"state": "SUCCESS"}, "b": {"state": "FAILED"}}}}


def rendered(expression: str, **variables: Any) -> Any:
    return RENDERER.render(f"{{{{ {expression} }}}}", variables)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("dayOfWeek('2025-01-06T00:30:00+02:00')", "MONDAY"),
        ("dayOfWeek('2025-01-05')", "SUNDAY"),
        ("dayOfMonth('2025-01-31T23:00:00')", "31"),
        ("monthOfYear('2025-12-01')", "12"),
        ("hourOfDay('2025-01-06T14:30:00+02:00')", "14"),
        ("hourOfDay('2025-01-06T05:30:00')", "5"),
        ("isWeekend('2025-01-04')", "true"),
        ("isWeekend('2025-01-06')", "false"),
        ("isDayWeekInMonth('2025-01-06', 'MONDAY', 'FIRST')", "true"),
        ("isDayWeekInMonth('2025-01-13', 'monday', 'second')", "true"),
        ("isDayWeekInMonth('2025-01-27', 'MONDAY', 'LAST')", "true"),
        ("isDayWeekInMonth('2025-01-20', 'MONDAY', 'LAST')", "false"),
        ("isDayWeekInMonth('2025-01-07', 'MONDAY', 'FIRST')", "false"),
        ("isLastWorkingDay('2025-01-31')", "true"),
        ("isLastWorkingDay('2025-02-28')", "true"),
        ("isLastWorkingDay('2025-08-29')", "true"),
        ("isLastWorkingDay('2025-08-28')", "false"),
        ("isLastWorkingDay('2025-08-30', 'SATURDAY, SUNDAY')", "false"),
        ("isLastWorkingDay('2025-08-31', 'SATURDAY, SUNDAY')", "true"),
        ("isDateBefore('2025-01-01T01:00:00+02:00', '2025-01-01')", "true"),
        ("isDateAfter('2025-01-01T01:00:00', '2025-01-01T01:00:00+01:00')", "true"),
        ("isDateBetween('2025-01-01', '2024-12-31', '2025-01-01')", "false"),
        ("isDateBetween('2025-01-01T00:00:00Z', '2024-12-31', '2025-01-02')", "true"),
        ("isWeekend('2025-01-03' | dateAdd(1, 'DAYS'))", "true"),
        ("'2025-01-01T00:00:00.123456Z' | timestampMilli", "1735689600123"),
    ],
)
def test_a_days_place_in_week_month_and_time_is_told(expression: str, text: str) -> None:
    assert rendered(expression) == text


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("dayOfWeek('soon')", "'dayOfWeek' function could not parse 'soon'"),
        ("hourOfDay('2025-01-06')", "could not parse"),
        ("isDateBefore('2025-01-06', 'x')", "could not parse 'x'"),
        ("isDayWeekInMonth('2025-01-06', 'MOON', 'FIRST')", "'dayOfWeek' of 'isDayWeekInMonth' must be one of MONDAY"),
        ("isDayWeekInMonth('2025-01-06', 'MONDAY', 'NINTH')", "'position' of 'isDayWeekInMonth' must be one of FIRST"),
        ("isLastWorkingDay('2025-01-06', 'NEVER')", "'workingDays'"),
        ("nanoId(0)", "from 1 to 1000"),
        ("nanoId(5, '')", "must not be empty"),
        ("'x' | string", "'string' filter"),
        ("'x' | distinct", "'distinct' filter"),
        ("'ab' | regexExtract('a(b)', 2)", "has no group 2"),
        ("'ab' | regexMatch('(')", "is not a regular expression"),
        ("iterationOutput()", "tasks of a loop only"),
    ],
)
def test_what_cannot_be_told_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ExpressionFailed, match=re.escape(message)):
        rendered(expression)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("[3, 1, 3, '3', 1.0, 'a', 'a', {'k': 1}, {'k': 1}, null, null] | distinct", '[3,1,"3",1.0,"a",{"k":1},null]'),
        ("null | distinct", ""),
        ("12 | string", "12"),
        ("'1.50' | string", "1.50"),
        ("'order-12345-done' | regexExtract('[0-9]+')", "12345"),
        ("'a1b2' | regexExtract(regex='([a-z])([0-9])', group=2)", "1"),
        ("('none' | regexExtract('[0-9]+')) ?? 'null'", "null"),
        ("'hello world' | regexMatch('w.r')", "true"),
        ("'hello' | regexMatch('^ello')", "false"),
        ("null | regexMatch('x')", "false"),
        ("'hello world' | regexReplace('(w)orld', '$1e')", "hello we"),
    ],
)
def test_newer_filters_give_what_they_say(expression: str, text: str) -> None:
    assert rendered(expression) == text


def test_identifiers_are_unique_and_have_their_length_and_letters() -> None:
    assert re.fullmatch("[0-9A-Za-z]{27}", rendered("ksuid()"))
    assert re.fullmatch("[0-9A-Za-z_-]{21}", rendered("nanoId()"))
    assert re.fullmatch("[ab]{50}", rendered("nanoId(50, 'ab')"))
    assert rendered("ksuid()") != rendered("ksuid()")
    assert 1024 <= int(rendered("randomPort()")) <= 65535


def test_a_later_ksuid_sorts_behind_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    first = rendered("ksuid()")
    monkeypatch.setattr("time.time", lambda: 1_800_000_001.0)
    assert first < rendered("ksuid()")


def test_the_tasks_in_a_state_are_listed_with_their_values() -> None:
    assert rendered("tasksWithState('failed')", **TASKS) == '[{"taskId":"one","state":"FAILED"},{"taskId":"each","state":"FAILED","value":"b"}]'
    assert rendered("tasksWithState('KILLED') | length", **TASKS) == "0"


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("iterationOutput()", "2"),
        ("iterationOutput('beside', 0)", "x"),
        ("iterationOutput(iteration=0)", "1"),
        ("iterationOutputs(0)", "1"),
        ("iterationOutputs(0, 'beside')", "x"),
        ("iterationOutput('beside', 1) ?? 'none'", "none"),
    ],
)
def test_a_task_in_a_loop_sees_what_earlier_iterations_gave(expression: str, text: str) -> None:
    assert rendered(expression, **LOOP) == text


def test_an_iteration_that_was_not_yet_is_refused() -> None:
    with pytest.raises(ExpressionFailed, match="no outputs of iteration 2"):
        rendered("iterationOutput('inner', 2)", **LOOP)
    first = {**LOOP, "taskrun": {"value": "a", "iteration": 0}, "outputs": {}}
    with pytest.raises(ExpressionFailed):
        rendered("iterationOutput()", **first)
