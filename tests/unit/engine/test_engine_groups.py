"""Which worker group a task goes to; and the tasks of a flow."""

from __future__ import annotations

from typing import Any

import pytest
from engine_driving import Driver, Resolver, a_flow, log, of

from orchestrator.engine.groups import group_of
from orchestrator.engine.tree import tasks_of
from orchestrator.model.flow import Fallback, TaskSpec

GPU = {"workerGroup": {"key": "gpu"}}
DEFAULTS = {"io": "far", "io.test": "near"}


def _asked(task: dict[str, Any], parents: tuple[dict[str, Any], ...] = (), defaults: dict[str, str] | None = None, **flow: Any) -> tuple[str, str, Fallback]:
    specs = [TaskSpec.model_validate(of("Sequential", f"p{i}", **parent)) for i, parent in enumerate(parents)]
    return group_of(TaskSpec.model_validate(task), specs, a_flow(task, **flow), defaults or {})


def test_the_nearest_level_wins() -> None:
    other = {"workerGroup": {"key": "other"}}
    assert _asked(log("t", **GPU), (other,), DEFAULTS, **other) == ("gpu", "task", Fallback.WAIT)
    assert _asked(log("t"), ({}, GPU, other), DEFAULTS, **other) == ("gpu", "parent", Fallback.WAIT)
    assert _asked(log("t"), ({},), DEFAULTS, **GPU) == ("gpu", "flow", Fallback.WAIT)
    assert _asked(log("t"), (), DEFAULTS) == ("near", "namespace", Fallback.WAIT)
    assert _asked(log("t"), (), {"io": "far"}) == ("far", "namespace", Fallback.WAIT)
    assert _asked(log("t"), (), {"i": "no", "io.tes": "no"}) == ("", "default", Fallback.WAIT)


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_blank_key_names_the_default_group(key: str | None) -> None:
    assert _asked(log("t", workerGroup={"key": key, "fallback": "FAIL"}), (), DEFAULTS, **GPU) == ("", "task", Fallback.FAIL)


def test_a_selector_names_the_group_by_its_first_tag_and_has_its_own_fallback() -> None:
    assert _asked(log("t", workerSelector={"tags": ["gpu", "eu"]})) == ("gpu", "task", Fallback.FAIL)


def test_a_templated_key_is_asked_for_before_the_run_is_sent_wherever_it_stands() -> None:
    flow = a_flow(of("Sequential", "s", log("t"), workerGroup={"key": "{{ inputs.pool }}"}))
    driven = Driver(flow, inputs={"pool": "gpu"}).start()
    assert driven.view.before_answers(driven.one("t")) == {"workerGroup.key": "gpu"}


def test_every_task_is_found_with_what_is_around_it() -> None:
    choice = {"id": "i", "type": "If", "condition": "true", "then": [log("yes")], "else_": [log("no")], "errors": [log("ie")]}
    found = tasks_of(a_flow(of("Sequential", "s", choice), log("z"), errors=[log("e")]), Resolver())
    assert list(found) == ["s", "i", "yes", "no", "ie", "z", "e"]
    assert (found["no"].branch, [spec.id for spec in found["no"].parents], found["ie"].branch, found["e"].parents) == ("else", ["i", "s"], "errors", ())
