"""The commands around workers, their groups, tokens, namespaces and the cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cli_fake_server import FakeServer
from cli_words import Command

BOX = {"id": "4f3a00000000", "name": "worker:gpu:4f3a0000:1", "group": "gpu", "hostname": "box", "slots": 8, "used": 2, "state": "up"}
UP = {**BOX, "labels": {"zone": "eu"}, "version": "0.1.0", "seen": "2026-01-31T10:00:00Z"}
GPU: dict[str, Any] = {
    "key": "gpu",
    "declared": True,
    "declaration": {"key": "gpu", "description": "fast", "tags": ["cuda"], "min": 1, "max": 4, "source": "api", "created": "2026-01-31T10:00:00Z"},
    "workers": [UP],
    "slots": 8,
    "used": 2,
    "queued": 3,
    "oldestWait": "2026-01-31T10:00:00Z",
}
DEFAULT: dict[str, Any] = {"key": "", "declared": False, "workers": [], "slots": 0, "used": 0, "queued": 0}
TOKEN = {
    "uid": "4f3a00000000",
    "role": "join",
    "name": "box",
    "group": "gpu",
    "createdAt": "2026-01-31T10:00:00Z",
    "revoked": False,
    "valid": True,
    "useCount": 2,
}


# workers


def test_workers_are_listed_with_their_labels_version_and_when_they_were_heard_of(server: FakeServer, orchestrator: Command) -> None:
    server.workers = [UP]
    line = orchestrator("worker", "ls").out.splitlines()[1].split()
    assert line[:7] == ["4f3a00000000", "gpu", "up", "2/8", "box", "zone=eu", "0.1.0"]
    assert line[-1] == "ago"
    assert json.loads(orchestrator("worker", "ls", "--json").out) == [UP]


def test_a_worker_is_shown_with_how_its_drain_stands(server: FakeServer, orchestrator: Command) -> None:
    server.further["GET", "/api/v1/workers/4f3a"] = {**UP, "state": "draining", "drain": {"deadline": "2026-01-31T10:05:00Z", "over": False}}
    out = orchestrator("worker", "show", "4f3a").out
    assert "state    draining" in out
    assert "drained  what runs may go on until " in out
    assert "labels   zone=eu" in out


def test_a_drain_asks_for_its_grace_and_waits_until_it_is_over(server: FakeServer, orchestrator: Command) -> None:
    draining = {**UP, "state": "draining", "drain": {"deadline": "2026-01-31T10:05:00Z", "over": False}}
    server.further["POST", "/api/v1/workers/4f3a/drain"] = draining
    server.further["GET", f"/api/v1/workers/{UP['name']}"] = [draining, {**draining, "drain": {**draining["drain"], "over": True}}]  # type: ignore[dict-item]
    said = orchestrator("worker", "drain", "4f3a", "--grace", "90s", "--wait")
    assert (said.code, "4f3a00000000 is drained" in said.err) == (0, True)
    assert server.bodies["POST /api/v1/workers/4f3a/drain"] == {"grace": "PT90S"}


def test_a_machine_that_has_joined_is_waited_for_until_it_has_left(server: FakeServer, orchestrator: Command) -> None:
    over = {**UP, "joined": True, "state": "draining", "drain": {"deadline": "2026-01-31T10:05:00Z", "over": True}}
    server.further["POST", "/api/v1/workers/4f3a/drain"] = over
    server.further["GET", f"/api/v1/workers/{UP['name']}"] = [over, over, {**over, "state": "silent"}]
    said = orchestrator("worker", "drain", "4f3a", "--wait")
    assert (said.code, "is drained" in said.err, sum(one.startswith("GET") for one in server.asked)) == (0, True, 3)
    server.further["POST", "/api/v1/workers/4f3a/drain"] = {**over, "state": "lost", "drain": None}
    assert "4f3a00000000 is lost: what it held goes on elsewhere" in orchestrator("worker", "drain", "4f3a", "--wait").err


def test_a_drained_worker_that_is_not_there_any_more_is_drained(server: FakeServer, orchestrator: Command) -> None:
    server.further["POST", "/api/v1/workers/4f3a/drain"] = {**UP, "state": "draining", "drain": {"deadline": "2026-01-31T10:05:00Z", "over": False}}
    said = orchestrator("worker", "drain", "4f3a", "--wait", "--json")
    assert (said.code, "is drained" in said.err, json.loads(said.out)["drain"]["over"]) == (0, True, True)


@pytest.mark.parametrize("grace", ["soon", "-PT5S", "5", ""])
def test_a_grace_that_is_none_is_asked_wrongly(server: FakeServer, orchestrator: Command, grace: str) -> None:
    said = orchestrator("worker", "drain", "4f3a", f"--grace={grace}")
    assert (said.code, "--grace takes a duration" in said.err, server.asked) == (2, True, [])


# groups


def test_groups_are_listed_with_the_oldest_wait(server: FakeServer, orchestrator: Command) -> None:
    server.groups = [DEFAULT, GPU]
    lines = orchestrator("worker-group", "ls").out.splitlines()
    assert lines[1].split()[:6] == ["default", "0", "of", "0", "0/0", "0"]
    assert lines[2].split()[:6] == ["gpu", "1", "of", "1", "2/8", "3"]
    assert lines[2].split()[-2:] == ["cuda", "fast"]


def test_a_group_is_declared_as_it_was_asked_for(server: FakeServer, orchestrator: Command) -> None:
    server.further["POST", "/api/v1/worker-groups"] = GPU
    args = ["--description", "fast", "--label", "zone=eu", "--tag", "cuda", "--min", "0", "--max", "4", "--slots", "2", "--idle-timeout", "10m"]
    said = orchestrator("worker-group", "create", "gpu", *args, "--reserve", "prod.*,ops=40:elastic", "--reserve", "a=10", "--allow", "prod.*")
    assert (said.code, said.err) == (0, "declared worker group gpu\n")
    assert server.bodies["POST /api/v1/worker-groups"] == {
        "key": "gpu",
        "description": "fast",
        "labels": {"zone": "eu"},
        "tags": ["cuda"],
        "min": 0,
        "max": 4,
        "slots": 2,
        "idleTimeout": "PT600S",
        "reserved": [{"namespaces": ["prod.*", "ops"], "percent": 40, "mode": "ELASTIC"}, {"namespaces": ["a"], "percent": 10}],
        "allowedNamespaces": ["prod.*"],
    }


@pytest.mark.parametrize("args", [["--label", "zone"], ["--reserve", "prod"], ["--reserve", "prod=much"], ["--idle-timeout", "a while"], ["--min", "-1"]])
def test_an_option_that_cannot_be_read_is_asked_wrongly(server: FakeServer, orchestrator: Command, args: list[str]) -> None:
    assert (orchestrator("worker-group", "create", "gpu", *args).code, server.asked) == (2, [])


def test_a_groups_update_keeps_what_is_not_given(server: FakeServer, orchestrator: Command) -> None:
    server.groups = [DEFAULT, GPU]
    server.further["PUT", "/api/v1/worker-groups/gpu"] = GPU
    assert orchestrator("worker-group", "update", "g", "--max", "8", "--unset", "tags").code == 0
    assert server.bodies["PUT /api/v1/worker-groups/gpu"] == {
        "key": "gpu",
        "description": "fast",
        "min": 1,
        "max": 8,
        "source": "api",
        "created": "2026-01-31T10:00:00Z",
    }
    said = orchestrator("worker-group", "update", "gpu", "--unset", "slots")
    assert (said.code, "sets no `slots`" in said.err) == (2, True)


def test_a_group_is_shown_with_its_workers(server: FakeServer, orchestrator: Command) -> None:
    server.groups = [DEFAULT, GPU]
    out = orchestrator("worker-group", "show", "gp").out
    assert "size     1 to 4 workers" in out
    assert "queued   3, the oldest since " in out
    assert out.splitlines()[-1].split()[:2] == ["4f3a00000000", "gpu"]
    assert json.loads(orchestrator("worker-group", "show", "default", "--json").out) == DEFAULT
    said = orchestrator("worker-group", "show", "x")
    assert (said.code, "no worker group is named `x`, and none begins so" in said.err) == (2, True)


def test_a_group_that_grows_is_shown_with_the_machines_that_are_coming(server: FakeServer, orchestrator: Command) -> None:
    server.groups = [
        {**GPU, "scaling": {"group": "gpu", "wanted": 2, "starting": 1, "since": "2026-01-31T10:00:00Z", "provider": ["gpu-node: 3 launches failed"]}}
    ]
    out = orchestrator("worker-group", "show", "gpu").out
    line = next(line for line in out.splitlines() if line.startswith("coming "))
    assert line.split("; ")[1:] == ["1 starting", "gpu-node: 3 launches failed"]
    assert line.startswith("coming   2 asked for, none has come for ")
    server.groups = [{**GPU, "scaling": {"group": "gpu", "wanted": 0, "starting": 0, "provider": []}}]
    assert "coming" not in orchestrator("worker-group", "show", "gpu").out


def test_a_group_in_use_is_deleted_by_force_only(server: FakeServer, orchestrator: Command) -> None:
    server.groups = [GPU]
    server.further["DELETE", "/api/v1/worker-groups/gpu"] = (
        409,
        {"message": "Illegal state: worker group 'gpu' is in use by flow a.b; force deletes it all the same"},
    )
    said = orchestrator("worker-group", "delete", "gpu")
    assert (said.code, said.err) == (2, "error[conflict]: worker group 'gpu' is in use by flow a.b; force deletes it all the same\n")
    server.further["DELETE", "/api/v1/worker-groups/gpu"] = None
    assert orchestrator("worker-group", "delete", "gpu", "--force").code == 0


# tokens


def test_a_token_is_printed_alone_on_stdout(server: FakeServer, orchestrator: Command) -> None:
    server.further["POST", "/api/v1/tokens"] = {"token": "orj_4f3a00000000_x", "details": TOKEN}
    said = orchestrator("token", "create", "--role", "join", "--group", "gpu", "--name", "box", "--expires", "2099-01-01T00:00:00Z")
    assert (said.code, said.out) == (0, "orj_4f3a00000000_x\n")
    assert server.bodies["POST /api/v1/tokens"] == {"role": "join", "name": "box", "group": "gpu", "expiresAt": "2099-01-01T00:00:00+00:00"}
    orchestrator("token", "create", "--role", "view", "--name", "prometheus", "--expires", "P30D")
    assert server.bodies["POST /api/v1/tokens"]["expiresAt"] > "2026"


@pytest.mark.parametrize(
    "args", [["--role", "admin", "--name", "x"], ["--role", "join"], ["--name", "x"], ["--role", "view", "--name", "x", "--expires", "soon"]]
)
def test_a_token_that_cannot_be_is_asked_wrongly(server: FakeServer, orchestrator: Command, args: list[str]) -> None:
    assert (orchestrator("token", "create", *args).code, server.asked) == (2, [])


def test_tokens_are_listed_with_whether_they_are_valid(server: FakeServer, orchestrator: Command) -> None:
    revoked, of_any = {**TOKEN, "revoked": True, "valid": False}, {key: value for key, value in TOKEN.items() if key != "group"}
    expired = {**TOKEN, "valid": False, "expiresAt": "2026-01-31T10:00:00Z", "group": ""}
    server.further["GET", "/api/v1/tokens"] = {"tokens": [TOKEN, revoked, expired, of_any]}
    lines = orchestrator("token", "ls").out.splitlines()[1:]
    assert [line.split()[2:5] for line in lines] == [["gpu", "box", "valid"], ["gpu", "box", "revoked"], ["default", "box", "expired"], ["any", "box", "valid"]]


def test_revoking_a_token_says_what_that_does_not_do(server: FakeServer, orchestrator: Command) -> None:
    server.further["POST", "/api/v1/tokens/box/revoke"] = {**TOKEN, "revoked": True, "valid": False}
    said = orchestrator("token", "revoke", "box")
    assert said.code == 0
    assert "revoked 4f3a00000000 (box)" in said.err
    assert "orchestrator cluster rotate-token" in said.err
    server.further["DELETE", "/api/v1/tokens/box"] = None
    assert orchestrator("token", "delete", "box").err == "deleted box\n"


# namespaces


def test_a_namespace_is_shown_with_those_above_it(server: FakeServer, orchestrator: Command) -> None:
    server.further["GET", "/api/v1/namespaces/io.acme.x/defaults"] = {}
    server.further["GET", "/api/v1/namespaces/io.acme/defaults"] = {"workerGroup": {"key": "gpu", "fallback": "FAIL"}}
    server.further["GET", "/api/v1/namespaces/io/defaults"] = {"workerSelector": {"tags": ["eu", "big"], "match": "ANY"}, "pluginDefaults": [{}]}
    lines = [line.split("  ") for line in orchestrator("namespace", "show", "io.acme.x").out.splitlines()[1:]]
    assert [[part.strip() for part in line if part] for line in lines] == [
        ["io.acme.x", "-", "0"],
        ["io.acme", "group gpu, else FAIL", "0"],
        ["io", "groups with any of eu, big", "1"],
    ]
    told = json.loads(orchestrator("namespace", "show", "io.acme.x", "--json").out)
    assert (told["defaults"], sorted(told["above"])) == ({}, ["io", "io.acme"])


def test_setting_where_work_goes_keeps_the_plugin_defaults(server: FakeServer, orchestrator: Command) -> None:
    path = "/api/v1/namespaces/io/defaults"
    server.further["GET", path] = {"workerSelector": {"tags": ["eu"]}, "pluginDefaults": [{"type": "x"}]}
    server.further["PUT", path] = {"workerGroup": {"key": "gpu"}}
    said = orchestrator("namespace", "set-default", "io", "--worker-group", "gpu", "--fallback", "ignore")
    assert (said.code, said.err) == (0, "the work of io goes to group gpu\n")
    assert server.bodies[f"PUT {path}"] == {"pluginDefaults": [{"type": "x"}], "workerGroup": {"key": "gpu", "fallback": "IGNORE"}}
    orchestrator("namespace", "set-default", "io", "--tag", "a", "--tag", "b", "--match", "any")
    assert server.bodies[f"PUT {path}"]["workerSelector"] == {"tags": ["a", "b"], "match": "ANY"}
    server.further["PUT", path] = {}
    assert orchestrator("namespace", "unset-default", "io").err == "io does not say where its work goes\n"
    assert server.bodies[f"PUT {path}"] == {"pluginDefaults": [{"type": "x"}]}
    orchestrator("namespace", "unset-default", "io", "--all")
    assert server.bodies[f"PUT {path}"] == {}


def test_a_namespaces_defaults_may_come_from_a_file(server: FakeServer, orchestrator: Command, tmp_path: Any) -> None:
    file = tmp_path / "defaults.yaml"
    file.write_text("placement:\n  - {workerGroup: gpu, wait: PT5S}\n  - workerGroup: {tags: [big]}\n")
    server.further["PUT", "/api/v1/namespaces/io/defaults"] = {"placement": [{"workerGroup": "gpu", "wait": "PT5S"}, {"workerGroup": {"tags": ["big"]}}]}
    said = orchestrator("namespace", "set-default", "io", "--file", file)
    assert said.err == "the work of io goes to group gpu then groups with big\n"
    file.write_text("- a\n")
    assert orchestrator("namespace", "set-default", "io", "--file", file).code == 2


@pytest.mark.parametrize(
    "args", [[], ["--worker-group", "a", "--tag", "b"], ["--worker-group", "a", "--match", "ANY"], ["--worker-group", "a", "--fallback", "hope"]]
)
def test_a_default_that_says_nothing_or_two_things_is_asked_wrongly(server: FakeServer, orchestrator: Command, args: list[str]) -> None:
    server.further["GET", "/api/v1/namespaces/io/defaults"] = {}
    said = orchestrator("namespace", "set-default", "io", *args)
    assert (said.code, [one for one in server.asked if one.startswith("PUT")]) == (2, [])


# the cluster


def test_rotating_the_token_waits_for_the_cluster_that_comes_in_its_place(server: FakeServer, orchestrator: Command) -> None:
    server.further["POST", "/api/v1/cluster/rotate-token"] = (202, {"session": "old"})
    away, gone = (503, {"message": "Unavailable: the executor restarts"}), {"session": "old"}
    server.further["GET", "/api/v1/cluster"] = [gone, away, {"session": "new"}, {"session": "new"}]
    server.further["GET", "/health"] = [(503, {"status": "DOWN"}), {"status": "UP"}]
    said = orchestrator("cluster", "rotate-token", "--json")
    assert (said.code, json.loads(said.out)) == (0, {"before": "old", "session": "new"})
    assert "machines that may still join come back by themselves" in said.err


def test_a_cluster_that_cannot_rotate_says_why(server: FakeServer, orchestrator: Command) -> None:
    server.further["POST", "/api/v1/cluster/rotate-token"] = (422, {"message": "Illegal argument: this server runs on a Ray cluster that it did not start"})
    said = orchestrator("cluster", "rotate-token")
    assert (said.code, said.err) == (2, "error[refused]: this server runs on a Ray cluster that it did not start\n")


def test_a_known_token_that_opens_nothing_any_more_says_why(server: FakeServer, orchestrator: Command) -> None:
    server.further["GET", "/api/v1/tokens"] = (401, {"message": "this token (box) has expired"})
    said = orchestrator("token", "ls")
    assert (said.code, "refuses the API token (this token (box) has expired)" in said.err) == (2, True)


def test_help_begins_with_examples_for_every_command_around_workers(orchestrator: Command) -> None:
    commands = {
        "worker": ("ls", "show", "drain"),
        "worker-group": ("create", "ls", "show", "update", "delete"),
        "token": ("create", "ls", "revoke", "delete"),
        "namespace": ("show", "set-default", "unset-default"),
        "cluster": ("show", "rotate-token"),
        "server": ("local", "standalone", "worker", "stop"),
    }
    for noun, verbs in commands.items():
        for verb in verbs:
            assert orchestrator(noun, verb, "-h").out.startswith("Examples:\n  "), (noun, verb)
