"""The runner a script task gets, and how it is told to the place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.runtime.runner_choice import DOCKER, PROCESS, full_name, with_runner
from orchestrator.settings import load


@pytest.mark.parametrize(
    "named",
    [{"taskRunner": {"type": DOCKER, "pullPolicy": "NEVER"}}, {"runner": "PROCESS"}, {"docker": {"image": "x", "pullPolicy": "NEVER"}}],
)
def test_a_task_that_names_its_runner_stays_as_it_is(named: dict[str, Any]) -> None:
    assert with_runner({"type": "t", **named}, PROCESS) == {"type": "t", **named}


@pytest.mark.parametrize(
    ("written", "own"),
    [
        ("core.runner.Process", PROCESS),
        ("io.kestra.core.models.tasks.runners.types.ProcessTaskRunner", PROCESS),
        ("scripts.runner.docker.DockerTaskRunner", DOCKER),
        ("com.acme.Unknown", "com.acme.Unknown"),
    ],
)
def test_a_runner_is_known_by_its_name_of_today(written: str, own: str) -> None:
    assert full_name({"type": written}) == own


def test_a_chosen_runner_is_added_and_keeps_the_properties_given_for_it() -> None:
    assert with_runner({"type": "t"}, PROCESS) == {"type": "t", "taskRunner": {"type": PROCESS}}
    assert with_runner({"taskRunner": {"pullPolicy": "NEVER"}}, DOCKER) == {"taskRunner": {"pullPolicy": "NEVER", "type": DOCKER}}


def test_a_task_for_which_none_was_chosen_stays_as_it_is() -> None:
    assert with_runner({"type": "t"}, None) == {"type": "t"}


def test_the_rule_is_set_by_the_name_people_know_and_by_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "orchestrator.yaml"
    file.write_text("scripts: {defaultRunner: process}\n")
    assert load({}, {}, file).default_runner == "process"
    assert load({}, {"ORCHESTRATOR_DEFAULT_RUNNER": "docker"}, file).default_runner == "docker"
