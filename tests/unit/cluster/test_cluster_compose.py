"""The compose file: that it holds together, and lets nobody in who should not be."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from orchestrator.settings import PREFIX, Settings
from tests.unit.cluster.cluster_files import CLUSTER, GRACE, ROOT, assert_shell, document, environment

SERVICE_KEYS = {"image", "build", "command", "environment", "depends_on", "volumes", "networks", "ports", "healthcheck", "restart", "init"}
SERVICE_KEYS |= {"shm_size", "security_opt", "cap_drop", "stop_grace_period"}
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
COMPOSE = "compose/compose.yaml"


def _services() -> dict[str, Any]:
    found: dict[str, Any] = document(COMPOSE)["services"]
    return found


def _seconds(text: str) -> int:
    return sum(int(count) * {"h": 3600, "m": 60, "s": 1}[unit] for count, unit in re.findall(r"(\d+)([hms])", text))


def test_everything_it_names_is_there() -> None:
    config = document(COMPOSE)
    assert {key for key in config if not key.startswith("x-")} == {"name", "services", "networks", "volumes"}
    for name, service in _services().items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service["networks"]) <= set(config["networks"])
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= set(config["volumes"])
        for other, when in service.get("depends_on", {}).items():
            assert when == {"condition": "service_healthy"}
            assert "healthcheck" in _services()[other]
        assert set(service.get("healthcheck", {})) <= HEALTH_KEYS


def test_it_builds_the_image_of_this_repository() -> None:
    build = _services()["server"]["build"]
    assert (CLUSTER / "compose" / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


def test_the_api_is_for_this_machine_only_and_no_other_port_is_published() -> None:
    published = {name: service["ports"] for name, service in _services().items() if "ports" in service}
    assert published == {"server": ["127.0.0.1:8080:8080"]}


def test_two_workers_of_different_groups_have_time_to_drain() -> None:
    workers = {name: service for name, service in _services().items() if name.startswith("worker-")}
    assert {service["command"][3] for service in workers.values()} == {"--worker-group=small", "--worker-group=big"}
    for service in workers.values():
        assert service["command"][:3] == ["orchestrator", "server", "worker"]
        assert _seconds(service["stop_grace_period"]) > GRACE
        assert service["init"] is True


def test_every_variable_is_asked_for_in_the_example_and_every_setting_is_one() -> None:
    text = (CLUSTER / COMPOSE).read_text()
    asked = set(re.findall(r"\$\{(\w+)", text)) - {"ORCHESTRATOR_IMAGE"}
    example = environment((CLUSTER / "compose/env.example").read_text())
    assert asked == set(example)
    assert set(example.values()) == {""}, "no secret in the example"
    for name in _services()["server"]["environment"]:
        assert name.removeprefix(PREFIX).lower() in Settings.model_fields, name


@pytest.mark.parametrize("name", ["database", "server"])
def test_its_health_check_is_a_command(name: str) -> None:
    kind, *command = _services()[name]["healthcheck"]["test"]
    assert kind == "CMD"
    assert_shell(shlex.join(command))
    if command[0] == "python":
        compile(command[2], "healthcheck", "exec")
