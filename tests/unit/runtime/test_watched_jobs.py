"""How many jobs are watched at once, and where the supervisor of a place stands that belongs to no machine."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.engine.admission import MOST_JOBS, Target, Waiting
from orchestrator.engine.waiting import reason_of, told
from orchestrator.engine.wishes import Step
from orchestrator.model.place_name import WORKER, PlaceName
from orchestrator.model.reason import Reason
from orchestrator.model.worker import WorkerInfo
from orchestrator.runtime.places import Out, Places
from orchestrator.runtime.runner_choice import backend_of

AT = datetime(2026, 1, 1, tzinfo=UTC)
ENGINE, CLOUD = Target(supervised=True), Target(supervised=True, backend="aws-batch-1")


def worker(node: str, *, on_head: bool = False) -> WorkerInfo:
    return WorkerInfo(name=str(PlaceName(WORKER, "", node, "0", on_head)), group="", node_id=node, slots=1)


def crowded(target: Target, count: int, *workers: WorkerInfo) -> Places:
    """So many jobs are out already, and one more waits."""
    places = Places()
    places.see(workers)
    for number in range(count):
        places.take(f"out{number}", Out("supervisor", "e", "n", "" if target.backend else workers[0].name, None, target.backend))
    places.wait(target, Waiting("next", "e", "n", AT), AT)
    return places


@pytest.mark.parametrize("target", [ENGINE, CLOUD])
def test_what_is_watched_at_once_is_bounded_and_the_next_waits_with_a_reason(target: Target) -> None:
    places = crowded(target, MOST_JOBS, worker("a"))
    assert list(places.admit()) == []
    standing = places.standing(target, "n")
    reason = reason_of(standing, None, reserved=places.is_reserved_from(target, "n"))
    assert (reason, told(reason, standing, Step(), None)) == (
        Reason.AT_CAPACITY,
        f"{MOST_JOBS} jobs launched from {Step().name} are being watched, the most at once",
    )
    places.release("out0")
    assert [waiting.task_run_id for waiting, _, _ in places.admit()] == ["next"]


def test_a_full_back_end_holds_up_no_other() -> None:
    places = crowded(CLOUD, MOST_JOBS, worker("a"))
    places.wait(Target(supervised=True, backend="gcp-batch-2"), Waiting("other", "e", "n", AT), AT)
    places.wait(ENGINE, Waiting("container", "e", "n", AT), AT)
    assert sorted(waiting.task_run_id for waiting, _, _ in places.admit()) == ["container", "other"]


def test_a_machine_takes_what_anothers_engine_has_no_room_for() -> None:
    places = crowded(ENGINE, MOST_JOBS, worker("a"), worker("b"))
    assert [name for _, _, name in places.admit()] == [worker("b").name]


def test_a_place_of_no_machine_is_watched_from_the_head_where_the_head_is_of_the_group() -> None:
    places = crowded(CLOUD, 0, worker("a"), worker("b", on_head=True))
    assert [name for _, _, name in places.admit()] == [worker("b", on_head=True).name]


def test_jobs_at_a_place_of_no_machine_keep_no_machine_from_going() -> None:
    places = crowded(CLOUD, 3, worker("a"))
    assert places.burdens()[worker("a").name][0] == 0


def test_a_back_end_is_named_by_what_was_written_and_nothing_of_it_is_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.runtime.runner_choice._backend_fields", lambda name: ("region", "accessKeyId"))
    written = {"region": "eu-west-1", "accessKeyId": "AKIA1234", "secretKeyId": "s3cret"}
    name = backend_of("io.kestra.plugin.ee.aws.runner.Batch", written)
    assert name.startswith("aws-batch-")
    assert not any(text in name for text in written.values())
    assert name == backend_of("io.kestra.plugin.ee.aws.runner.Batch", {**written, "secretKeyId": "another", "bucket": "b"})
    assert name != backend_of("io.kestra.plugin.ee.aws.runner.Batch", {**written, "region": "us-east-1"})


def test_an_engine_of_the_machine_itself_has_no_such_name() -> None:
    assert backend_of("io.kestra.plugin.scripts.runner.docker.Docker", {"host": "unix:///x"}) == ""
