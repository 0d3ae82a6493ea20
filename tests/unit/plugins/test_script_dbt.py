"""dbt's command line, with a program of this test's own in dbt's place that says and leaves what dbt does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.sdk import Json, Level, TaskFailed, Warned
from orchestrator.sdk.fakes import FakeContext, LocalProcesses
from orchestrator_plugins.process.runner import Process

RESULTS = {"results": [{"status": "success", "execution_time": 0.5, "unique_id": "model.a"}, {"status": "error", "execution_time": 1, "unique_id": "model.b"}]}
DBT = """#!/bin/sh
echo "$@" >> called
[ -f profiles.yml ] && cp profiles.yml seen
mkdir -p dbt/target && cp dbt/target/manifest.json begun.json 2>/dev/null
echo '{"nodes":{}}' > dbt/target/manifest.json
cat > dbt/target/run_results.json <<'X'
RESULTS
X
echo '{"info":{"name":"Start","level":"info","msg":"Running"},"data":{}}'
echo '{"info":{"name":"Note","level":"LEVEL","msg":"Deprecated"},"data":{}}'
echo '{"info":{"name":"StatsLine","level":"info","msg":"Done."},"data":{"stats":{"pass":1,"warn":0,"error":1}}}'
echo plain
exit CODE
"""


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[FakeContext]:
    processes = LocalProcesses()
    made = FakeContext(tmp_path, {"pass": "s3cret"}, runner=Process(), processes=processes)
    program(made)
    yield made
    processes.close()


def program(ctx: FakeContext, *, level: str = "debug", code: int = 0) -> None:
    path = ctx.working_dir() / "bin" / "dbt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(DBT.replace("RESULTS", json.dumps(RESULTS)).replace("LEVEL", level).replace("CODE", str(code)))
    path.chmod(0o755)


def run(ctx: FakeContext, *commands: str, **properties: Any) -> dict[str, Json]:
    path = {"PATH": f"{ctx.working_dir()}/bin{os.pathsep}{os.defpath}"}
    written = {"id": "t", "type": "x", "commands": list(commands), "projectDir": "dbt", "env": path, **properties}
    return dict(registry.load("task", "io.kestra.plugin.dbt.cli.DbtCLI").model_validate(written).run(ctx))


def test_commands_of_dbt_are_told_their_project_and_log_format(ctx: FakeContext) -> None:
    run(ctx, "dbt deps", "dbt build --project-dir other --log-format text", "echo dbt")
    assert (ctx.working_dir() / "called").read_text() == "deps --project-dir dbt --log-format json\nbuild --project-dir other --log-format text\n"


def test_lines_of_its_log_are_messages_at_their_level(ctx: FakeContext) -> None:
    run(ctx, "dbt build")
    assert ctx.logger.lines == [(Level.INFO, "Running"), (Level.DEBUG, "Deprecated"), (Level.INFO, "Done."), (Level.INFO, "plain")]


def test_a_warning_of_dbt_is_a_warning_of_the_task(ctx: FakeContext) -> None:
    program(ctx, level="warn")
    with pytest.raises(Warned) as caught:
        run(ctx, "dbt build")
    assert (caught.value.outputs["exitCode"], caught.value.outputs["stdErrLineCount"]) == (0, 0)


def test_profiles_are_a_file_that_dbt_finds(ctx: FakeContext) -> None:
    run(ctx, "dbt build", "echo $DBT_PROFILES_DIR", profiles="password: {{ pass }}", inputFiles={"profiles.yml": "other"})
    assert (ctx.working_dir() / "seen").read_text() == "password: s3cret"
    assert ctx.logger.lines[-1][1] == str(ctx.working_dir())


def test_what_dbt_leaves_is_kept_and_measured(ctx: FakeContext) -> None:
    outputs = run(ctx, "dbt build")
    assert {name: json.loads(ctx.files.text(uri)) for name, uri in outputs["outputFiles"].items()} == {
        "manifest.json": {"nodes": {}},
        "run_results.json": RESULTS,
    }
    assert ctx.jobs[0].output_files == ("dbt/target/manifest.json", "dbt/target/run_results.json")
    assert ("counter", "dbt.nodes", 1.0, {"status": "error"}) in ctx.metrics
    assert ("timer", "dbt.duration", 0.5, {"node": "model.a", "status": "success"}) in ctx.metrics
    assert ("counter", "log.stats.error", 1.0, {}) in ctx.metrics


def test_it_is_kept_when_dbt_fails_too(ctx: FakeContext) -> None:
    program(ctx, code=2)
    with pytest.raises(TaskFailed, match="exit code 2") as caught:
        run(ctx, "dbt build", parseRunResults=False)
    assert caught.value.outputs["outputFiles"] == {"manifest.json": "kestra:///1/manifest.json"}


def test_a_manifest_travels_between_runs_by_a_key(ctx: FakeContext) -> None:
    kept = {"key": "manifest.json", "namespace": "acme.data"}
    run(ctx, "dbt build", loadManifest=kept, storeManifest={"key": "manifest.json", "namespace": "acme.data"})
    assert any("begins without a manifest" in line for level, line in ctx.logger.lines if level is Level.WARN)
    assert ctx.keys.values["acme.data", "manifest.json"] == {"nodes": {}}
    ctx.keys.values["acme.data", "manifest.json"] = {"of": "before"}
    run(ctx, "dbt build", loadManifest=kept)
    assert json.loads((ctx.working_dir() / "begun.json").read_text()) == {"of": "before"}


@pytest.mark.parametrize(
    ("properties", "image"),
    [({}, "ghcr.io/kestra-io/dbt"), ({"engine": "FUSION"}, "ghcr.io/kestra-io/dbt-fusion"), ({"engine": "FUSION", "containerImage": "mine"}, "mine")],
)
def test_the_image_is_the_engines_where_none_is_named(properties: dict[str, Any], image: str) -> None:
    kind = registry.load("task", "io.kestra.plugin.dbt.cli.DbtCLI")
    assert kind.model_validate({"id": "t", "type": "x", "commands": ["dbt build"], **properties}).image() == image
