"""The files for Ray's cluster launcher: what Ray itself says of them, and that they agree with the server's settings."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler._private.util import prepare_config, validate_config

from orchestrator.model.worker import resource_of
from tests.unit.cluster.cluster_files import CLUSTER, assert_node_types_match, assert_shell, document, environment, groups, ray_settings

FILES = ("ray/aws.yaml", "ray/on-premise.yaml")


@pytest.mark.parametrize("file", FILES)
def test_ray_takes_the_file(file: str) -> None:
    prepared: dict[str, Any] = prepare_config(document(file))
    validate_config(prepared)
    assert prepared["head_node_type"] in prepared["available_node_types"]


def test_each_worker_group_of_the_settings_has_its_node_type() -> None:
    config = document("ray/aws.yaml")
    types = {name: kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]}
    assert_node_types_match(types, groups(CLUSTER / "ray/orchestrator.yaml"))
    assert config["max_workers"] == sum(kind["max_workers"] for kind in types.values())


def test_ray_is_started_as_we_start_it_ourselves() -> None:
    given = environment((CLUSTER / "ray/ray.env").read_text())
    assert given == {**ray_settings(), "RAY_AUTH_TOKEN_PATH": "/etc/orchestrator/ray_token"}


@pytest.mark.parametrize("file", FILES)
def test_every_ray_is_started_with_these_settings_and_shows_its_dashboard_to_nobody(file: str) -> None:
    config = document(file)
    for kind in ("head", "worker"):
        start = [command for command in config[f"{kind}_start_ray_commands"] if " ray start " in command]
        assert len(start) == 1, kind
        assert start[0].startswith("set -a; . /etc/orchestrator/ray.env; ")
        assert ("--dashboard-host=127.0.0.1 --autoscaling-config=~/ray_bootstrap_config.yaml" in start[0]) is (kind == "head")
        assert ("ORCHESTRATOR_WORKER_SERVER=http://$RAY_HEAD_IP:8080;" in start[0]) is (kind == "worker")


@pytest.mark.parametrize("file", FILES)
def test_a_shell_takes_every_command(file: str) -> None:
    config = document(file)
    commands = [command for name, some in config.items() if name.endswith("_commands") for command in some]
    assert len(commands) >= 4
    for command in commands:
        assert_shell(command)


def test_every_file_that_is_copied_to_the_nodes_is_there_or_made_by_whoever_starts_the_cluster() -> None:
    made = {line.rstrip("/") for line in (CLUSTER / "ray/.gitignore").read_text().split()}
    for local in document("ray/aws.yaml")["file_mounts"].values():
        assert local in made or (CLUSTER / "ray" / local).is_file(), local
    assert {"dist", "ray_token", "server.env"} == made, "what is secret or built is never committed"


def test_from_outside_only_ssh_can_be_reached_and_not_by_everybody() -> None:
    opened = document("ray/aws.yaml")["provider"]["security_group"]["IpPermissions"]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in opened] == [(22, 22)]
    assert all(source["CidrIp"] != "0.0.0.0/0" for rule in opened for source in rule["IpRanges"])


@pytest.mark.parametrize(("group", "key"), [("gpu", "gpu"), ("_default", "")])
def test_a_fixed_machine_offers_the_resource_of_the_group_that_it_names(tmp_path: Path, group: str, key: str) -> None:
    (tmp_path / "ray.env").write_text((CLUSTER / "ray/ray.env").read_text())
    (tmp_path / "worker.env").write_text(f"WORKER_GROUP={group}\nWORKER_SLOTS=4\n")
    ray = tmp_path / "bin/ray"
    ray.parent.mkdir()
    ray.write_text('#!/bin/sh\nprintf "%s\\n" "$@"; env\n')
    ray.chmod(stat.S_IRWXU)
    command = document("ray/on-premise.yaml")["worker_start_ray_commands"][-1]
    command = command.replace("/etc/orchestrator/", f"{tmp_path}/").replace("/opt/orchestrator/", f"{tmp_path}/")
    done = subprocess.run(
        ["bash", "-c", command], env={"RAY_HEAD_IP": "192.0.2.10", "PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=20, check=True
    )
    lines = done.stdout.splitlines()
    resources = next(line for line in lines if line.startswith("--resources="))
    assert json.loads(resources.partition("=")[2]) == {resource_of(key): 4}
    assert {"start", "--address=192.0.2.10:6379", "RAY_AUTH_MODE=token", "ORCHESTRATOR_WORKER_SERVER=http://192.0.2.10:8080"} <= set(lines)
