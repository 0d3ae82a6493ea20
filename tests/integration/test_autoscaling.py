"""Worker groups on a cluster that grows and shrinks: a machine comes for a run, and goes when nothing needs it any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.autoscaled_cluster import AutoscaledCluster, Stopwatch
from tests.integration.local_server import eventually

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

GROUPS = """
worker-groups:
  - {key: small, max: 2, slots: 2, idleTimeout: PT4S}
  - {key: gpu, max: 1, slots: 2, idleTimeout: PT4S}
  - {key: nowhere, max: 1, slots: 1}
  - {key: sold-out, max: 1, slots: 1}
"""
KINDS = {
    "small-node": {"resources": {"CPU": 1, "worker_group:small": 2}, "max_workers": 3},
    "gpu-node": {"resources": {"CPU": 1, "GPU": 1, "worker_group:gpu": 2}, "labels": {"zone": "eu"}, "max_workers": 3},
    "sold-out-node": {"resources": {"worker_group:sold-out": 1}, "node_config": {"refuse": "no capacity in this zone"}, "max_workers": 1},
}


FLOW = """
id: {name}
namespace: auto
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    concurrencyLimit: 0
    values: {values}
    tasks:
      - id: t
        type: io.kestra.plugin.scripts.shell.Commands
        taskRunner: {{type: io.kestra.plugin.core.runner.Process}}
        workerGroup: {{key: {group}}}
        {more}
        commands: ["{command}"]
"""


def flow(name: str, group: str, command: str, *, times: int = 1, more: str = "") -> str:
    return FLOW.format(name=name, group=group, command=command, values=list(range(times)), more=more)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AutoscaledCluster]:
    found = AutoscaledCluster(tmp_path_factory.mktemp("autoscaled"), KINDS)
    try:
        found.start()
        found.serve(GROUPS)
        yield found
    finally:
        found.end()


def _alone(cluster: AutoscaledCluster) -> bool:
    return cluster.raylets() == 1


def test_a_machine_comes_for_a_run_and_goes_when_it_was_idle(cluster: AutoscaledCluster) -> None:
    clock = Stopwatch()
    assert _alone(cluster)
    execution = cluster.execute(flow("one", "small", "echo here"))
    clock("the run is accepted")
    told = eventually(
        lambda: next((one for one in cluster.explained(execution) if one["evidence"].get("scaling")), None), within=20, what="the ask can be seen"
    )
    assert (told["reason"], told["evidence"]["scaling"][0]["group"]) == ("SCALING_UP", "small")
    clock(f"explain: {told['message']}")
    eventually(lambda: cluster.raylets() == 2, within=60, what="a node has been started")
    clock("its node is there")
    eventually(lambda: [worker["state"] for worker in cluster.workers("small")] == ["up"], within=60, what="its worker is up")
    clock("its worker is up")
    eventually(lambda: cluster.has_ended(execution), within=60, what="the run has ended")
    clock("the run has ended")
    assert cluster.state(execution) == "SUCCESS"
    eventually(lambda: not cluster.workers("small"), within=60, what="its worker has ended")
    clock("its worker has ended, idle for 4 s")
    eventually(lambda: _alone(cluster), within=60, what="its node has gone")
    clock("its node is gone")


@pytest.mark.long
def test_a_machine_that_has_not_gone_yet_is_taken_back(cluster: AutoscaledCluster) -> None:
    clock = Stopwatch()
    first = cluster.execute(flow("first", "small", "echo here"))
    eventually(lambda: cluster.has_ended(first), within=60, what="the first run has ended")
    node = cluster.workers("small")[0]["nodeId"]
    eventually(lambda: not cluster.workers("small"), within=60, what="its worker has ended")
    clock("its worker has ended")
    second = cluster.execute(flow("second", "small", "echo here"))
    eventually(lambda: cluster.has_ended(second), within=60, what="the second run has ended")
    clock("the next run has ended")
    assert [worker["nodeId"] for worker in cluster.workers("small")] == [node]
    eventually(lambda: _alone(cluster), within=60, what="its node has gone")


@pytest.mark.long
def test_an_executor_that_dies_leaves_no_demand_and_the_next_one_asks_again(cluster: AutoscaledCluster) -> None:
    clock = Stopwatch()
    waits = cluster.execute(flow("waiting", "nowhere", "echo never"))
    before = eventually(cluster.demands, within=30, what="the ask is there")
    assert list(before.values()) == ["wanted:nowhere"]
    cluster.actors("ExecutorActor")[0].kill()
    clock("the executor is dead")
    after = eventually(lambda: {key: name for key, name in cluster.demands().items() if key not in before}, within=60, what="the next one asks")
    clock("the next one has asked")
    assert list(after.values()) == ["wanted:nowhere"]
    assert cluster.demands() == after, "the ask of the dead one has gone"
    cluster.kill(waits)
    eventually(lambda: cluster.demands() == {}, within=60, what="nothing is asked for")
    clock("the run is killed and the ask is taken back")


@pytest.mark.long
def test_a_long_line_brings_as_many_machines_as_it_needs_and_no_more_than_max(cluster: AutoscaledCluster) -> None:
    clock = Stopwatch()
    execution = cluster.execute(flow("many", "small", "sleep 4", times=8))
    most = 0

    def ended() -> bool:
        nonlocal most
        now = cluster.raylets() - 1
        if now > most:
            clock(f"{now} machines")
        most = max(most, now)
        return cluster.has_ended(execution)

    eventually(ended, within=120, what="all runs have ended")
    clock(f"8 runs of 4 s have ended on {most} machines")
    assert (cluster.state(execution), most) == ("SUCCESS", 2)
    placed = {run["placement"]["worker"] for run in cluster.call("GET", f"/api/v1/executions/{execution}")["taskRunList"] if run["taskId"] == "t"}
    assert len(placed) == 2
    eventually(lambda: _alone(cluster), within=60, what="its nodes have gone")
    clock("its machines are gone")


@pytest.mark.long
def test_a_run_with_resources_brings_a_machine_that_has_them(cluster: AutoscaledCluster) -> None:
    clock = Stopwatch()
    execution = cluster.execute(flow("devices", "gpu", "echo on a device", more="resources: {gpu: 1}"))
    eventually(lambda: cluster.has_ended(execution), within=120, what="the run has ended")
    clock("the run has ended on a machine with a GPU")
    assert cluster.state(execution) == "SUCCESS"
    eventually(lambda: _alone(cluster), within=60, what="its node has gone")
    clock("its machine is gone")


def test_a_group_whose_machine_nobody_has_does_not_hold_up_others(cluster: AutoscaledCluster) -> None:
    waits = cluster.execute(flow("waits", "nowhere", "echo never"))
    eventually(lambda: any(one["evidence"].get("scaling") for one in cluster.explained(waits)), within=20, what="its ask can be seen")
    execution = cluster.execute(flow("beside", "small", "echo here"))
    eventually(lambda: cluster.has_ended(execution), within=90, what="the run has ended")
    assert cluster.state(execution) == "SUCCESS"
    assert [one["reason"] for one in cluster.explained(waits)] == ["SCALING_UP"]
    cluster.kill(waits)


def test_launches_that_fail_are_told(cluster: AutoscaledCluster) -> None:
    execution = cluster.execute(flow("sold-out", "sold-out", "echo never"))

    def provider() -> list[str]:
        return [said for one in cluster.explained(execution) for scaling in one["evidence"].get("scaling", ()) for said in scaling["provider"]]

    said = eventually(provider, within=60, what="the failed launches are told")
    assert said[0].startswith("sold-out-node: "), said
    assert "failed" in said[0]
    cluster.kill(execution)
