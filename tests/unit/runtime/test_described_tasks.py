"""A task described by text, as a run builds it."""

from __future__ import annotations

import pytest

from orchestrator.errors import TaskFailed
from orchestrator.runtime.built_plugins import described_task
from orchestrator.sdk import Flowable


def test_a_described_task_has_the_id_of_the_run() -> None:
    task = described_task("type: core.debug.Return\nformat: It's alive!", "mine")
    assert (task.id, task.type) == ("mine", "core.debug.Return")


def test_a_flowable_can_be_described_too() -> None:
    assert isinstance(described_task("{type: core.flow.Sequential, tasks: [{id: a, type: core.debug.Return}]}", "mine"), Flowable)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "a map with a `type`"),
        ("[1]", "a map with a `type`"),
        ("a: b: c", "cannot be read"),
        ("type: no.such.Type", "no.such.Type"),
        ("type: core.debug.Return\nfromat: x", "fromat"),
    ],
)
def test_what_describes_no_task_fails(source: str, told: str) -> None:
    with pytest.raises(TaskFailed, match=told):
        described_task(source, "mine")
