"""Where an evaluation of a trigger goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.engine.trigger_placing import Chosen, Held, PassedOver, place_for, workers_for
from orchestrator.engine.wishes import Asked as AskedPlace
from orchestrator.engine.wishes import Step, Wish, chain_of
from orchestrator.model.flow import Fallback
from orchestrator.model.worker import WorkerInfo, WorkerState
from orchestrator.model.worker_group import WorkerGroup


def _worker(name: str, group: str = "", **more: Any) -> WorkerInfo:
    return WorkerInfo(name=name, group=group, node_id="n", slots=1, **more)


WORKERS = (
    _worker("d1"),
    _worker("g1", "gpu", labels={"zone": "eu"}),
    _worker("g2", "gpu"),
    _worker("gone", "closing", state=WorkerState.DRAINING),
    _worker("p1", "private"),
)
DECLARED = {"private": WorkerGroup(key="private", allowed_namespaces=("prod.*",), tags=("db",)), "gpu": WorkerGroup(key="gpu", tags=("big",))}


@pytest.mark.parametrize(
    ("step", "namespace", "names"),
    [
        (Step(group=""), "dev", ["d1"]),
        (Step(group="gpu"), "dev", ["g1", "g2"]),
        (Step(group="nowhere"), "dev", []),
        (Step(group="closing"), "dev", []),
        (Step(group="private"), "dev", []),
        (Step(group="private"), "prod.a", ["p1"]),
        (Step(tags=("big",)), "dev", ["g1", "g2"]),
        (Step(tags=("big", "zone=eu")), "dev", ["g1", "g2"]),
        (Step(tags=("big", "db")), "prod", []),
        (Step(tags=("big", "db"), match="ANY"), "prod", ["g1", "g2", "p1"]),
    ],
)
def test_a_step_means_the_workers_that_are_up_in_groups_the_namespace_may_use(step: Step, namespace: str, names: list[str]) -> None:
    assert [worker.name for worker in workers_for(step, WORKERS, DECLARED, namespace)] == names


def _place(wish: Wish, waited: float = 0, room: int = 1) -> Chosen | Held | PassedOver:
    return place_for(wish, timedelta(seconds=waited), lambda step: workers_for(step, WORKERS, {}, "dev"), lambda worker: room)


def _asked(**asked: Any) -> Wish:
    return chain_of(AskedPlace.of(asked), "trigger")


NOWHERE = "worker group 'nowhere'"


@pytest.mark.parametrize(
    ("asked", "waited", "found"),
    [
        ({}, 0, "d1"),
        ({"workerGroup": {"key": "gpu"}}, 0, "g1"),
        ({"workerGroup": {"key": "nowhere"}}, 1000, Held(lacking=(NOWHERE,))),
        ({"workerGroup": {"key": "nowhere", "fallback": "IGNORE"}}, 0, "d1"),
        ({"workerGroup": {"key": "nowhere", "fallback": "FAIL"}}, 0, PassedOver((NOWHERE,), Fallback.FAIL)),
        ({"workerGroup": {"key": "nowhere", "fallback": "CANCEL"}}, 0, PassedOver((NOWHERE,), Fallback.CANCEL)),
        ({"placement": [{"workerGroup": "nowhere", "wait": "PT5S"}, {"workerGroup": "gpu"}]}, 4, Held(lacking=(NOWHERE,))),
        ({"placement": [{"workerGroup": "nowhere", "wait": "PT5S"}, {"workerGroup": "gpu"}]}, 5, "g1"),
        ({"placement": [{"taskRunner": {"type": "x"}}, {"workerGroup": "gpu"}]}, 0, "g1"),
        ({"placement": [{"workerGroup": "nowhere", "wait": "PT5S"}, {"workerGroup": "none", "wait": "PT5S"}]}, 99, Held((NOWHERE, "worker group 'none'"))),
    ],
)
def test_the_steps_are_tried_in_their_order_and_the_fallback_ends_them(asked: dict[str, Any], waited: float, found: object) -> None:
    placed = _place(_asked(**asked), waited)
    assert (placed.worker.name if isinstance(placed, Chosen) else placed) == found


@pytest.mark.parametrize("fallback", ["WAIT", "FAIL", "IGNORE"])
def test_a_full_group_is_waited_for_whatever_the_fallback(fallback: str) -> None:
    assert _place(_asked(workerGroup={"key": "gpu", "fallback": fallback}), room=0) == Held(full=("worker group 'gpu'",))


def test_the_worker_with_the_most_room_takes_it() -> None:
    found = place_for(
        _asked(workerGroup={"key": "gpu"}), timedelta(), lambda step: workers_for(step, WORKERS, {}, "dev"), lambda one: 5 if one.name == "g2" else 1
    )
    assert isinstance(found, Chosen)
    assert found.worker.name == "g2"
