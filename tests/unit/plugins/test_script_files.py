"""What scripts are given and keep, and what never stands on a command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.sdk import Job, Json, Level, TaskFailed
from orchestrator.sdk.fakes import FakeContext, LocalProcesses
from orchestrator_plugins.process.runner import Process
from orchestrator_plugins.scripts.properties import words
from orchestrator_plugins.scripts.script import Running

SPACES = {"acme": {"/q.sql": "select 1", "/dir/a.txt": "of acme"}, "acme.other": {"/dir/a.txt": "of other", "/b.txt": "b"}}
SECRET = "hunter2-canary"


class Bucketed(Process):
    """A runner with a bucket, whose commands see another folder."""

    def bucket_path(self, job_key: str, installation: str) -> str | None:
        return f"s3://mine/{installation}/{job_key}"


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[FakeContext]:
    processes = LocalProcesses()
    yield FakeContext(tmp_path, {"token": SECRET}, runner=Process(), namespaces=SPACES, processes=processes)
    processes.close()


def run(ctx: FakeContext, *commands: str, **properties: Any) -> dict[str, Json]:
    return dict(build("shell.Commands", commands=list(commands), **properties).run(ctx))


def build(name: str, **properties: Any) -> Running:
    made: Running = registry.load("task", f"io.kestra.plugin.scripts.{name}").model_validate({"id": "t", "type": name, **properties})
    return made


def made(ctx: FakeContext) -> Job:
    return ctx.jobs[-1]


# --- commands


@pytest.mark.parametrize("written", ["{{ several }}", ["{{ several }}"]])
def test_a_lone_template_that_gives_a_list_is_all_its_commands(ctx: FakeContext, written: Any) -> None:
    ctx.variables["several"] = ["echo one", "echo 2"]
    build("shell.Commands", commands=written).run(ctx)
    assert [line for _, line in ctx.logger.lines] == ["one", "2"]


@pytest.mark.parametrize("command", ["[ 1 = 1 ] && echo {{ word }}", "{{ word }}", "[{{ word }}", '[{"a": {{ word }}}]'])
def test_a_command_that_only_looks_like_a_list_is_one(ctx: FakeContext, command: str) -> None:
    ctx.variables["word"] = 1
    assert words(ctx, build("shell.Commands", commands=[command]).commands) == (command.replace("{{ word }}", "1"),)  # type: ignore[attr-defined]


# --- input files


def test_a_file_of_the_namespace_is_an_input_file_by_its_uri(ctx: FakeContext) -> None:
    files = {"one.sql": "nsfile:///q.sql", "two.txt": "nsfile://acme.other/dir/a.txt"}
    run(ctx, 'test "$(cat one.sql)" = "select 1"', 'test "$(cat two.txt)" = "of other"', inputFiles=files)


def test_input_files_as_a_list_keep_their_names(ctx: FakeContext, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("stored")
    uri = ctx.files.put(tmp_path / "given", "given.txt")
    run(ctx, "test $(cat given.txt) = stored", "test -f a.txt", inputFiles=[uri, "nsfile:///dir/a.txt"])


def test_a_list_of_input_files_holds_only_uris(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match=r"holds URIs of stored files, and `a\.txt` is none"):
        run(ctx, "true", inputFiles=["a.txt"])


def test_files_of_the_machine_are_no_input_files(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="which flows may not read"):
        run(ctx, "true", inputFiles={"x": "file:///etc/passwd"})


def test_a_uri_of_the_namespace_in_a_command_becomes_a_local_copy(ctx: FakeContext) -> None:
    run(ctx, "cat nsfile:///q.sql", "cat nsfile://acme.other/dir/a.txt")
    assert [line for _, line in ctx.logger.lines] == ["select 1of other"]


def test_a_uri_of_another_kind_in_a_command_is_left_alone(ctx: FakeContext) -> None:
    run(ctx, "echo https://host/x kestra: file://x")
    assert ctx.logger.lines == [(Level.INFO, "https://host/x kestra: file://x")]


# --- namespace files


def test_files_of_a_later_namespace_win(ctx: FakeContext) -> None:
    run(ctx, 'test "$(cat dir/a.txt)" = "of other"', "test -f q.sql -a -f b.txt", namespaceFiles={"namespaces": ["acme", "acme.other"]})


def test_each_namespace_may_have_a_folder_of_its_name(ctx: FakeContext) -> None:
    wanted = {"namespaces": ["acme", "acme.other"], "folderPerNamespace": True}
    run(ctx, 'test "$(cat acme/dir/a.txt)" = "of acme"', 'test "$(cat acme.other/dir/a.txt)" = "of other"', namespaceFiles=wanted)


@pytest.mark.parametrize(("if_exists", "text"), [("OVERWRITE", "of other"), ("IGNORE", "of acme"), ("WARN", "of acme")])
def test_what_becomes_of_a_file_that_is_there_already(ctx: FakeContext, if_exists: str, text: str) -> None:
    run(ctx, f'test "$(cat dir/a.txt)" = "{text}"', namespaceFiles={"namespaces": ["acme", "acme.other"], "ifExists": if_exists})
    assert [level for level, line in ctx.logger.lines if "/dir/a.txt" in line] == ([Level.WARN] if if_exists == "WARN" else [])


def test_a_file_that_is_there_already_may_fail_the_task(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match=r"`namespaceFiles.ifExists` is FAIL"):
        run(ctx, "true", namespaceFiles={"namespaces": ["acme", "acme.other"], "ifExists": "FAIL"})


# --- names and variables


def test_output_files_named_outright_are_known_by_their_path(ctx: FakeContext) -> None:
    task = build("shell.Commands", commands=["echo {{ outputFiles.report }} > path"], outputFiles=["report", "*.txt", "path"])
    outputs = task.run(ctx)
    assert ctx.files.text(outputs["outputFiles"]["path"]) == f"{ctx.working_dir()}/report\n"


def test_the_bucket_is_known_where_there_is_one(ctx: FakeContext, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="bucketPath"):
        run(ctx, "echo {{ bucketPath }}")
    run(ctx, 'test -z "$BUCKET_PATH"')
    bucketed = FakeContext(tmp_path, runner=Bucketed())
    run(bucketed, 'test "{{ bucketPath }}" = "$BUCKET_PATH"', "echo $BUCKET_PATH")
    assert bucketed.logger.lines == [(Level.INFO, f"s3://mine/test/{made(bucketed).key}")]


def test_the_same_run_has_the_same_names_whoever_goes_on_with_it(ctx: FakeContext) -> None:
    for _ in range(2):
        run(ctx, "echo $WORKING_DIR $OUTPUT_DIR", outputDirectory=True)
    first, second = (line for _, line in ctx.logger.lines)
    assert first == second


def test_the_whole_working_directory_comes_back_when_asked_for(ctx: FakeContext) -> None:
    run(ctx, "true", outputFiles=["a.txt"], syncWorkingDirectory=True)
    assert made(ctx).output_files == ("a.txt", "**")


def test_what_a_task_makes_for_itself_is_no_output(ctx: FakeContext) -> None:
    task = build("python.Script", script="open('own.txt', 'w').write('x')", outputFiles=["**"], beforeCommands=["mkdir -p .script-x && touch .script-x/y"])
    assert list(task.run(ctx)["outputFiles"]) == ["own.txt"]


# --- secrets


def test_commands_that_hold_a_secret_are_given_as_a_file(ctx: FakeContext) -> None:
    ctx.secrets.add(SECRET)
    run(ctx, "echo {{ token }}", "exit 0")
    assert (ctx.logger.lines, any(SECRET in word for word in made(ctx).argv)) == ([(Level.INFO, SECRET)], False)


@pytest.mark.parametrize("interpreter", [["python", "-c"], ["perl", "-e"], ["/usr/bin/env", "bash", "-c"]])
def test_so_are_those_of_any_interpreter_that_is_known(ctx: FakeContext, interpreter: list[str]) -> None:
    ctx.secrets.add(SECRET)
    run(ctx, "# {{ token }}", interpreter=interpreter)
    assert not any(SECRET in word for word in made(ctx).argv)


@pytest.mark.parametrize("properties", [{"interpreter": ["/bin/echo"]}, {"interpreter": []}])
def test_a_secret_that_would_stand_on_the_command_line_is_refused(ctx: FakeContext, properties: dict[str, Any]) -> None:
    ctx.secrets.add(SECRET)
    with pytest.raises(TaskFailed, match="the command line would hold a secret") as caught:
        run(ctx, "{{ token }}", **properties)
    assert (SECRET in str(caught.value), ctx.jobs) == (False, [])


def test_a_script_with_a_secret_after_commands_is_run_by_its_file(ctx: FakeContext) -> None:
    ctx.secrets.add(SECRET)
    build("python.Script", script="print('{{ token }}')", beforeCommands=["true"]).run(ctx)
    assert (ctx.logger.lines, any(SECRET in word for word in made(ctx).argv)) == ([(Level.INFO, SECRET)], False)


# --- what scripts say


def test_assets_are_kept_with_the_outputs(ctx: FakeContext) -> None:
    outputs = run(ctx, """echo '::{"assets":[{"id":"table","type":"TABLE"}]}::'""", """echo '::{"assets":{"id":"b"}}::'""")
    assert outputs["assets"] == [{"id": "table", "type": "TABLE"}, {"id": "b"}]
    assert "assets" not in run(ctx, "true")


def test_a_metric_of_no_known_type_is_a_warning(ctx: FakeContext) -> None:
    run(ctx, """echo '::{"metrics":[{"name":"g","type":"GAUGE","value":1.5},{"name":"h","type":"histogram","value":1}]}::'""")
    assert (ctx.metrics, [level for level, _ in ctx.logger.lines]) == ([("gauge", "g", 1.5, {})], [Level.WARN])


def test_levels_are_known_as_other_languages_call_them(ctx: FakeContext) -> None:
    said = ["warning", "CRITICAL", "debug", "odd"]
    run(ctx, *(f"""echo '::{{"logs":[{{"level":"{level}","message":"m"}}]}}::'""" for level in said))
    assert [level for level, _ in ctx.logger.lines] == [Level.WARN, Level.ERROR, Level.DEBUG, Level.INFO]
