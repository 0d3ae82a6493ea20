"""The manifests for Kubernetes: what Ray's autoscaler reads from them, and what KubeRay makes of them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

from orchestrator.model.worker import resource_of
from tests.unit.cluster.cluster_files import GRACE, assert_node_types_match, assert_shell, documents, groups, ray_settings

HEAD = "headgroup"


def _one(kind: str, name: str = "orchestrator", file: str = "kubernetes/raycluster.yaml") -> Any:
    return next(one for one in documents(file) if (one["kind"], one["metadata"]["name"]) == (kind, name))


def _cluster() -> Any:
    return _one("RayCluster")["spec"]


def _pods() -> dict[str, Any]:
    """The pod of the head and of each worker group."""
    spec = _cluster()
    return {HEAD: spec["headGroupSpec"]["template"]["spec"], **{one["groupName"]: one["template"]["spec"] for one in spec["workerGroupSpecs"]}}


def test_each_worker_group_of_the_settings_has_its_group_of_pods(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.yaml").write_text(_one("ConfigMap")["data"]["orchestrator.yaml"])
    cluster = _one("RayCluster")
    cluster["metadata"]["namespace"] = "orchestrator"
    derived = _derive_autoscaling_config_from_ray_cr(cluster)
    types = {name: kind for name, kind in derived["available_node_types"].items() if name != HEAD}
    assert_node_types_match(types, groups(tmp_path / "orchestrator.yaml"))
    assert derived["available_node_types"][HEAD]["resources"]["CPU"] == 0
    assert types["gpu"]["resources"]["GPU"] == 1


@pytest.mark.parametrize(("name", "key"), [("default", ""), ("big", "big"), ("gpu", "gpu")])
def test_kuberays_command_line_gives_ray_the_same_resource(name: str, key: str) -> None:
    group = next(one for one in _cluster()["workerGroupSpecs"] if one["groupName"] == name)
    text = group["rayStartParams"]["resources"]
    (argument,) = shlex.split(f"--resources={text}")  # how the operator writes it into the pod's command
    resources = json.loads(argument.partition("=")[2])
    assert resources.keys() == {resource_of(key)}
    assert json.loads(text.strip("'\"` ")) == resources, "how the operator reads it, to add GPUs to it"
    assert "resources" not in group, "there the operator takes every name that ends in gpu for a number of GPUs"


def test_ray_is_started_as_we_start_it_ourselves() -> None:
    given = _one("ConfigMap", "orchestrator-ray")["data"]
    assert {**given, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "t"} == ray_settings()
    assert _cluster()["authOptions"] == {"mode": "token"}
    for pod in _pods().values():
        assert {"configMapRef": {"name": "orchestrator-ray"}} in pod["containers"][0]["envFrom"]


def test_the_autoscaler_is_the_second_one_and_nothing_else_scales() -> None:
    assert _cluster()["enableInTreeAutoscaling"] is True
    assert _cluster()["autoscalerOptions"]["version"] == "v2"
    for file in ("kubernetes/raycluster.yaml", "kubernetes/workers.yaml"):
        assert all(one["kind"] != "HorizontalPodAutoscaler" for one in documents(file))
    assert all("restartPolicy" not in pod for pod in _pods().values()), "it wants pods that are never started again"


def test_the_head_runs_the_server_beside_ray_and_their_ports_do_not_clash() -> None:
    head = _cluster()["headGroupSpec"]
    container = head["template"]["spec"]["containers"][0]
    assert head["template"]["metadata"]["annotations"]["ray.io/overwrite-container-cmd"] == "true"
    assert (container["command"], container["args"]) == (["orchestrator-head"], ["--data", "/data"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert len(set(ports.values())) == len(ports)
    assert int(head["rayStartParams"]["metrics-export-port"]) == ports["metrics"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": "api"}
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in head["template"]["spec"]["volumes"]}
    assert volumes[mounted["/data"]]["persistentVolumeClaim"]["claimName"] == _one("PersistentVolumeClaim")["metadata"]["name"]


def test_workers_reach_the_api_by_its_service() -> None:
    service = _one("Service")
    assert service["spec"]["selector"] == {"ray.io/cluster": _one("RayCluster")["metadata"]["name"], "ray.io/node-type": "head"}
    (port,) = service["spec"]["ports"]
    for pod in _pods().values():
        given = {variable["name"]: variable.get("value") for variable in pod["containers"][0]["env"]}
        assert given["ORCHESTRATOR_WORKER_SERVER"] == f"http://{service['metadata']['name']}:{port['port']}"


def test_a_worker_that_is_stopped_is_drained_first_and_has_the_time_for_it() -> None:
    for name, pod in _pods().items():
        if name == HEAD:
            continue
        command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert command[:2] == ["/bin/sh", "-c"]
        assert_shell(command[2])
        assert "orchestrator worker drain" in command[2]
        assert "--grace PT5M --wait" in command[2]
        assert pod["terminationGracePeriodSeconds"] > GRACE
    joined = _one("Deployment", "orchestrator-worker-gpu", "kubernetes/workers.yaml")["spec"]["template"]["spec"]
    assert joined["terminationGracePeriodSeconds"] > GRACE
    assert joined["containers"][0]["command"] == ["orchestrator", "server", "worker"], "no shell between it and the signal"


def test_secrets_come_from_secrets() -> None:
    for file in ("kubernetes/raycluster.yaml", "kubernetes/workers.yaml"):
        assert all(one["kind"] != "Secret" for one in documents(file))
    joined = _one("Deployment", "orchestrator-worker-gpu", "kubernetes/workers.yaml")["spec"]["template"]["spec"]
    for pod in (*_pods().values(), joined):
        for variable in pod["containers"][0]["env"]:
            if any(word in variable["name"] for word in ("TOKEN", "KEY", "DATABASE", "PASSWORD")):
                assert set(variable) == {"name", "valueFrom"}, variable["name"]


def test_no_pod_is_root_or_may_become_it() -> None:
    joined = _one("Deployment", "orchestrator-worker-gpu", "kubernetes/workers.yaml")["spec"]["template"]["spec"]
    for pod in (*_pods().values(), joined):
        assert pod["securityContext"]["runAsNonRoot"] is True
        confined = pod["containers"][0]["securityContext"]
        assert confined == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_rays_ports_are_for_the_cluster_alone() -> None:
    policy = _one("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == {"ray.io/cluster": _one("RayCluster")["metadata"]["name"]}
    among, everybody = policy["ingress"]
    assert "ports" not in among
    assert len(among["from"]) == 2
    assert everybody == {"ports": [{"protocol": "TCP", "port": "api"}]}
