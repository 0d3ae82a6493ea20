"""Script tasks on a real server: only `taskRunner.type` changes between its runs, and nothing that a user sees does.

The third runner is that of `examples/acme_runner`, installed as a third party's package would be."""

from __future__ import annotations

import base64
import re
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local_server import LocalServer, eventually, local_server
from tests.third_party import installed

pytestmark = [pytest.mark.ray, pytest.mark.docker, pytest.mark.timeout(300)]

PROCESS, DOCKER = "io.kestra.plugin.core.runner.Process", "io.kestra.plugin.scripts.runner.docker.Docker"
RUNNERS = {"process": PROCESS, "docker": DOCKER, "acme": "com.acme.runner.Nice"}
SECRET = "canary-of-the-scripts"
SHELL, PYTHON = "io.kestra.plugin.scripts.shell", "io.kestra.plugin.scripts.python"
FLOW = (
    """
id: scripts_on_RUNNER
namespace: acme.scripts
inputs: [{id: given, type: FILE}]
pluginDefaults:
  - type: io.kestra.plugin.scripts
    values: {containerImage: test/python, taskRunner: {type: TYPE}}
tasks:
  - id: all
    type: io.kestra.plugin.core.flow.Parallel
    concurrent: 4
    tasks:
      - id: fails
        type: SHELL.Commands
        allowFailure: true
        outputFiles: [kept]
        commands: [echo kept > kept, "echo '::{\\"outputs\\":{\\"a\\":1}}::'", exit 66]
      - {id: signal, type: SHELL.Commands, allowFailure: true, commands: ["sh -c 'kill -9 $$'"]}
      - {id: unknown, type: SHELL.Commands, allowFailure: true, warningOnStdErr: false, commands: ["no-such-program 2>/dev/null"]}
      - {id: goes_on, type: SHELL.Commands, failFast: false, commands: ["false", "echo after"]}
      - {id: warns, type: SHELL.Commands, commands: ["echo out", "sleep 0.2; echo err >&2"]}
      - {id: quiet, type: SHELL.Commands, warningOnStdErr: false, commands: ["echo err >&2"]}
      - {id: silent, type: SHELL.Commands, commands: ["true"]}
      - {id: odd, type: SHELL.Commands, commands: ["printf 'a\\\\rb\\\\r\\\\n\\\\n\\\\303\\\\244 \\\\377\\\\nlast'"]}
      - {id: argv, type: SHELL.Commands, interpreter: [], commands: [printf, "%s|", "a  b", "$HOME", ""]}
      - {id: bash, type: SHELL.Script, interpreter: [/bin/bash, -c], script: "a=(x y)\\necho ${a[1]}", beforeCommands: [echo before]}
      - id: env
        type: SHELL.Commands
        env: {PLAIN: "{{ flow.namespace | length }}", ODD: 'a "b" $c ä', WORKING_DIR: ignored}
        commands:
          - printf "%s|%s|" "$PLAIN" "$ODD"
          - '[ "$WORKING_DIR" = "{{ workingDir }}" ] && [ "$(pwd -P)" = "$(cd "$WORKING_DIR" && pwd -P)" ] && echo same'
          - echo "${OUTPUT_DIR-none}"
      - id: files
        type: SHELL.Commands
        outputDirectory: true
        namespaceFiles: {enabled: true, exclude: [not.txt]}
        inputFiles: {"a b/ä.txt": "Hello {{ flow.namespace }}", stored.txt: "{{ inputs.given }}", empty: null, "ns.txt": nsfile:///dir/of-namespace.txt}
        outputFiles: [out.txt, "deep/**", "missing.txt"]
        commands:
          - cat 'a b/ä.txt' stored.txt empty ns.txt dir/of-namespace.txt > out.txt
          - test ! -e not.txt
          - mkdir -p deep/er && echo deep > 'deep/er/odd näme.txt' && ln -s /etc/passwd deep/link
          - mkdir {{ outputDir }}/nested && echo one > $OUTPUT_DIR/file.txt && echo two > {{ outputDir }}/nested/file.txt
          - test "{{ outputFiles['out.txt'] }}" = "$WORKING_DIR/out.txt"
      - id: uri
        type: PYTHON.Script
        script: |
          import json
          print('::' + json.dumps({'outputs': {'text': open('{{ inputs.given }}').read(), 't': true, 'n': null}}) + '::')
      - {id: traceback, type: PYTHON.Script, allowFailure: true, script: "import sys\\n\\nraise KeyError('x')\\n"}
      - {id: modules, type: PYTHON.Commands, inputFiles: {main.py: "import other; print(other.x)", other.py: "x = 'found'"}, commands: [python main.py]}
      - {id: long, type: SHELL.Script, script: "# LONG\\necho from a long one"}
      - {id: secret, type: SHELL.Commands, env: {TOKEN: "{{ secret('CANARY') }}"}, commands: ["echo {{ secret('CANARY') }} $TOKEN | wc -w", "echo says $TOKEN"]}
      - id: carried
        type: SHELL.Commands
        commands:
          - echo '::{"metrics":[{"name":"rows","type":"counter","value":3,"tags":{"k":"v"}},{"name":"took","type":"timer","value":1.5}]}::'
          - echo '::{"logs":[{"level":"WARN","message":"careful"}],"assets":[{"id":"table"}]}::'
          - echo '::{not json}::'
      - {id: lines, type: PYTHON.Script, script: "for i in range(3000): print(i)"}
""".replace("SHELL", SHELL)
    .replace("PYTHON", PYTHON)
    .replace("LONG", "x" * 9000)
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("scripts")
    environ = {"SECRET_CANARY": base64.b64encode(SECRET.encode()).decode(), "PYTHONPATH": str(installed(folder))}
    with local_server(folder, environ=environ) as made:
        for path, text in {"/dir/of-namespace.txt": "of the namespace", "/not.txt": "no"}.items():
            _upload(made, f"/api/v1/namespaces/acme.scripts/files?path={urllib.parse.quote(path)}", "fileContent", text)
        yield made


def _upload(server: LocalServer, path: str, name: str, text: str) -> Any:
    body = f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n{text}\r\n--edge--\r\n'
    return server.call("POST", path, body.encode(), kind="multipart/form-data; boundary=edge", timeout=120)


@pytest.fixture(scope="module")
def runs(server: LocalServer) -> Mapping[str, Mapping[str, Any]]:
    """What each runner's execution of the same tasks shows to a user, by task."""
    return {runner: _shown(server, runner, kind) for runner, kind in RUNNERS.items()}


def _shown(server: LocalServer, runner: str, kind: str) -> dict[str, Any]:
    namespace, flow = server.flow(FLOW.replace("RUNNER", runner).replace("TYPE", kind))
    started = _upload(server, f"/api/v1/executions/{namespace}/{flow}?wait=true", "given", "I'm here")
    execution = server.ended(started["id"], within=120)
    logs = server.call("GET", f"/api/v1/logs/{execution['id']}")
    metrics = server.call("GET", f"/api/v1/metrics/{execution['id']}?size=100")["results"]
    return {run["taskId"]: _facts(server, execution["id"], run, logs, metrics) for run in execution["taskRunList"] if run["taskId"] != "all"}


def _facts(server: LocalServer, execution: str, run: Mapping[str, Any], logs: list[dict[str, Any]], metrics: list[dict[str, Any]]) -> dict[str, Any]:
    outputs = dict(run.get("outputs") or {})
    outputs.pop("taskRunner", None)
    files = {name: _text(server, execution, uri) for name, uri in (outputs.pop("outputFiles", None) or {}).items()}
    lines = [(entry["level"], _without_folder(entry["message"])) for entry in logs if entry.get("taskRunId") == run["id"]]
    told = [(one["name"], one["type"], one["value"], one["tags"]) for one in metrics if one["taskRunId"] == run["id"]]
    return {"state": run["state"]["current"], "outputs": outputs, "files": files, "lines": lines, "metrics": told}


def _without_folder(message: str) -> str:
    """A traceback names the script's file, which lies in another folder in a container."""
    return re.sub(r'File "[^"]*/\.script-[0-9a-f]{16}', 'File "', message)


def _text(server: LocalServer, execution: str, uri: str) -> str:
    found: bytes = server.call("GET", f"/api/v1/executions/{execution}/file?path={urllib.parse.quote(uri)}", raw=True)
    return found.decode()


@pytest.mark.parametrize("other", ["docker", "acme"])
def test_a_task_gives_the_same_wherever_it_runs(runs: Mapping[str, Mapping[str, Any]], other: str) -> None:
    here, there = runs["process"], runs[other]
    assert {task: (here[task], facts) for task, facts in there.items() if facts != here[task]} == {}
    assert set(here) == set(there)


@pytest.mark.parametrize(
    ("task", "state", "code"),
    [
        ("fails", "WARNING", 66),
        ("signal", "WARNING", 137),
        ("unknown", "WARNING", 127),
        ("goes_on", "SUCCESS", 0),
        ("warns", "WARNING", 0),
        ("quiet", "SUCCESS", 0),
        ("traceback", "WARNING", 1),
        ("lines", "SUCCESS", 0),
    ],
)
def test_states_and_exit_codes_are_the_commands_own(runs: Mapping[str, Mapping[str, Any]], task: str, state: str, code: int) -> None:
    assert [(facts[task]["state"], facts[task]["outputs"]["exitCode"]) for facts in runs.values()] == [(state, code)] * len(RUNNERS)


def test_files_outputs_and_metrics_are_what_was_written(runs: Mapping[str, Mapping[str, Any]]) -> None:
    found = runs["docker"]
    assert found["files"]["files"] == {
        "out.txt": "Hello acme.scriptsI'm hereof the namespaceof the namespace",
        "deep/er/odd näme.txt": "deep\n",
        "file.txt": "one\n",
        "nested/file.txt": "two\n",
    }
    assert (found["fails"]["outputs"]["vars"], found["fails"]["files"]) == ({"a": 1}, {"kept": "kept\n"})
    assert found["uri"]["outputs"]["vars"] == {"text": "I'm here", "t": True, "n": None}
    assert found["carried"]["metrics"] == [("rows", "counter", 3, {"k": "v"}), ("took", "timer", 1500, {})]
    assert found["carried"]["outputs"]["assets"] == [{"id": "table"}]
    assert [text for _, text in found["odd"]["lines"]] == ["a", "b", "", "ä \ufffd", "last"]
    assert [text for _, text in found["lines"]["lines"]] == [str(number) for number in range(3000)]


def test_a_secret_is_shown_by_none(server: LocalServer, runs: Mapping[str, Mapping[str, Any]]) -> None:
    for facts in runs.values():
        assert [text for _, text in facts["secret"]["lines"]] == ["2", "says ********"]
    found = subprocess.run(["grep", "-rlF", SECRET, str(server.data)], capture_output=True, text=True, check=False).stdout
    assert [path for path in found.split() if not path.endswith("settings.json")] == []


def test_a_secret_stands_on_no_command_line_while_it_is_used(server: LocalServer) -> None:
    tasks = "".join(
        f"""
      - id: {name}
        type: {SHELL}.Commands
        containerImage: test/python
        taskRunner: {{type: {kind}}}
        env: {{TOKEN: "{{{{ secret('CANARY') }}}}"}}
        commands: ["echo {{{{ secret('CANARY') }}}} >/dev/null", echo up, sleep 300]"""
        for name, kind in RUNNERS.items()
    )
    flow = server.flow(f"id: canary\nnamespace: acme.scripts\ntasks:\n  - id: all\n    type: io.kestra.plugin.core.flow.Parallel\n    tasks:{tasks}\n")
    execution = server.execute(flow)["id"]
    eventually(lambda: server.logs(execution).count("up") == len(RUNNERS), within=60, what="all three are up")
    commands = [text for path in Path("/proc").glob("[0-9]*/cmdline") if (text := _read(path)) and SECRET in text]
    label = f"label=kestra.io/execution-id={execution}"
    (container,) = subprocess.run(["docker", "ps", "-q", "--filter", label], capture_output=True, text=True, check=True).stdout.split()
    shown = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True).stdout
    server.call("DELETE", f"/api/v1/executions/{execution}/kill")
    assert server.ended(execution)["state"]["current"] == "KILLED"
    assert (commands, SECRET in shown, f"{execution}" in shown) == ([], False, True)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


@pytest.mark.parametrize(
    ("more", "runner", "reason"),
    [
        ("", DOCKER, "scripts.defaultRunner is auto"),
        ("docker: {image: test/python, pullPolicy: NEVER}", DOCKER, "named by the task's `docker`"),
        ("runner: PROCESS", PROCESS, "named by the task's `runner`"),
        ("taskRunner: {type: io.kestra.core.models.tasks.runners.types.ProcessTaskRunner}", PROCESS, "named by the task"),
    ],
)
def test_the_runner_taken_and_why_stands_on_the_task_run(server: LocalServer, more: str, runner: str, reason: str) -> None:
    named = "" if more else "\n    containerImage: test/python"
    name = f"chosen_{len(more)}"
    flow = server.flow(f"id: {name}\nnamespace: acme.scripts\ntasks:\n  - id: t\n    type: {SHELL}.Commands\n    commands: [echo x]{named}\n    {more}\n")
    run = server.execute(flow, wait=True)["taskRunList"][0]
    assert (run["state"]["current"], run["placement"]["runner"], run["placement"]["reason"]) == ("SUCCESS", runner, reason)
