"""Script tasks on real processes of this machine."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator import registry
from orchestrator.sdk import Json, Level, TaskFailed, Warned
from orchestrator.sdk.fakes import FakeContext, LocalProcesses
from orchestrator.sdk.globs import matches, matches_anywhere
from orchestrator_plugins.process.runner import Process
from orchestrator_plugins.scripts.literals import with_literals
from orchestrator_plugins.scripts.script import Running

SPACE = {"acme": {"/keep/yes.txt": "from the namespace", "/keep/not.txt": "no", "/other.txt": "no"}}


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[FakeContext]:
    processes = LocalProcesses()
    yield FakeContext(tmp_path, {"name": "Ada"}, runner=Process(), namespaces=SPACE, processes=processes)
    processes.close()


def build(name: str, **properties: Any) -> Running:
    made: Running = registry.load("task", f"scripts.{name}").model_validate({"id": "t", "type": name, **properties})
    return made


def run(ctx: FakeContext, *commands: str, **properties: Any) -> dict[str, Json]:
    return dict(build("shell.Commands", commands=list(commands), **properties).run(ctx))


def test_commands_run_in_one_shell_and_their_lines_are_logged(ctx: FakeContext) -> None:
    outputs = run(ctx, "x={{ name }}", "echo hello $x", "echo second")
    assert ctx.logger.lines == [(Level.INFO, "hello Ada"), (Level.INFO, "second")]
    assert (outputs["exitCode"], outputs["vars"], outputs["outputFiles"], outputs["stdOutLineCount"]) == (0, {}, {}, 2)


def test_stderr_is_an_error_line_and_a_warning_at_the_end(ctx: FakeContext) -> None:
    with pytest.raises(Warned) as caught:
        run(ctx, "echo out", ">&2 echo err")
    assert (Level.ERROR, "err") in ctx.logger.lines
    assert caught.value.outputs["stdErrLineCount"] == 1


def test_stderr_may_be_no_warning(ctx: FakeContext) -> None:
    assert run(ctx, ">&2 echo err", warningOnStdErr=False)["exitCode"] == 0


def test_a_failed_command_tells_its_code_and_keeps_what_it_gave(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="Command failed with exit code 66") as caught:
        run(ctx, """echo '::{"outputs":{"a":1}}::'""", "echo before > out.txt", "exit 66", "echo never", outputFiles=["out.txt"])
    assert caught.value.exit_code == 66
    assert caught.value.outputs["vars"] == {"a": 1}
    assert ctx.files.text(caught.value.outputs["outputFiles"]["out.txt"]) == "before\n"  # type: ignore[index]


def test_the_first_failure_ends_the_run_unless_told_otherwise(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="exit code 127"):
        run(ctx, "no-such-program", "echo after")
    assert (Level.INFO, "after") not in ctx.logger.lines


def test_without_fail_fast_the_last_command_decides(ctx: FakeContext) -> None:
    assert run(ctx, "false", "echo after", failFast=False)["exitCode"] == 0
    with pytest.raises(TaskFailed, match="exit code 3"):
        run(ctx, "true", "exit 3", failFast=False)
    assert (Level.INFO, "after") in ctx.logger.lines


def test_a_signal_is_told_as_128_and_its_number(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="exit code 137"):
        run(ctx, "kill -9 $$")


def test_carried_outputs_merge_and_the_last_wins(ctx: FakeContext) -> None:
    outputs = run(
        ctx,
        """echo '::{"outputs": {"test":"value","int":2,"none":null}}::'""",
        """>&2 echo '::{"outputs": {"int":3,"list":[1,"a"]}}::'""",
        warningOnStdErr=False,
    )
    assert outputs["vars"] == {"test": "value", "int": 3, "none": None, "list": [1, "a"]}
    assert ctx.logger.lines == []


def test_carried_metrics_and_log_entries_are_passed_on(ctx: FakeContext) -> None:
    run(
        ctx,
        """echo '::{"metrics":[{"name":"count","type":"counter","value":1,"tags":{"tag1":"i"}},{"name":"t","type":"timer","value":2.12}]}::'""",
        """echo '::{"logs":[{"level":"TRACE","message":"Hello Trace"},{"level":"ERROR","message":"Hello Error"}]}::'""",
    )
    assert ctx.metrics == [("counter", "count", 1.0, {"tag1": "i"}), ("timer", "t", 2.12, {})]
    assert ctx.logger.lines == [(Level.TRACE, "Hello Trace"), (Level.ERROR, "Hello Error")]


@pytest.mark.parametrize("text", ["{not json}", '{"metrics": [1]}', '{"outputs": 3}', '{"metrics": [{"name": "x"}]}'])
def test_a_carrier_that_cannot_be_read_is_a_warning(ctx: FakeContext, text: str) -> None:
    assert run(ctx, f"echo '::{text}::'")["exitCode"] == 0
    assert [(level, line.startswith("Invalid outputs")) for level, line in ctx.logger.lines] == [(Level.WARN, True)]


def test_the_working_directory_is_known_by_template_variable_and_place(ctx: FakeContext) -> None:
    run(ctx, 'test "{{ workingDir }}" = "$WORKING_DIR"', 'test "$(pwd -P)" = "$(cd {{ workingDir }} && pwd -P)"', 'test -z "$OUTPUT_DIR"')


def test_the_output_directory_is_there_only_when_asked_for(ctx: FakeContext) -> None:
    outputs = run(ctx, "mkdir {{ outputDir }}/sub", 'echo 1 > "$OUTPUT_DIR/a.xml"', "echo 2 > {{ outputDir }}/sub/b.csv", outputDirectory=True)
    assert {name: ctx.files.text(uri) for name, uri in outputs["outputFiles"].items()} == {"a.xml": "1\n", "sub/b.csv": "2\n"}


def test_the_older_runner_property_names_a_runner_and_turns_the_output_directory_on(ctx: FakeContext) -> None:
    outputs = run(ctx, "echo 1 > {{ outputDir }}/file.txt", runner="PROCESS", taskRunner={"type": "other"})
    assert ctx.asked_runner == {"type": "io.kestra.plugin.core.runner.Process"}
    assert list(outputs["outputFiles"]) == ["file.txt"]


def test_the_older_docker_property_is_the_docker_runner() -> None:
    task = build("shell.Commands", commands=["x"], docker={"image": "mine:1", "dockerHost": "tcp://h:1", "pullPolicy": "NEVER"})
    assert task.runner_spec() == {"type": "io.kestra.plugin.scripts.runner.docker.Docker", "host": "tcp://h:1", "pullPolicy": "NEVER"}
    assert task.image() == "mine:1"


def test_input_files_are_made_before_the_run(ctx: FakeContext, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("stored")
    uri = ctx.files.put(tmp_path / "given", "given.txt")
    ctx.variables["uri"] = uri
    run(
        ctx,
        'test "$(cat "a b/ä.txt")" = "Hello Ada"',
        'test "$(cat stored.txt)" = stored',
        "test -f empty && test ! -s empty",
        """test "$(cat data.json)" = '{"k":1}'""",
        inputFiles={"a b/ä.txt": "Hello {{ name }}", "stored.txt": "{{ uri }}", "empty": None, "data.json": {"k": 1}},
    )


def test_input_files_may_be_json_text(ctx: FakeContext) -> None:
    assert run(ctx, 'test "$(cat 1.txt)" = "Ada"', inputFiles='{"1.txt": "{{ name }}"}')["exitCode"] == 0


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_input_files_cannot_leave_the_working_directory(ctx: FakeContext, name: str) -> None:
    with pytest.raises(TaskFailed, match="within the working directory"):
        run(ctx, "true", inputFiles={name: "x"})


def test_namespace_files_are_chosen_by_patterns(ctx: FakeContext) -> None:
    run(ctx, "test -f keep/yes.txt", "test ! -e keep/not.txt", "test ! -e other.txt", namespaceFiles={"include": ["keep/**"], "exclude": ["keep/not.txt"]})


def test_namespace_files_yield_to_input_files(ctx: FakeContext) -> None:
    run(ctx, "test $(cat keep/yes.txt) = mine", "test -f other.txt", namespaceFiles={"enabled": True}, inputFiles={"keep/yes.txt": "mine"})


def test_no_namespace_files_without_asking(ctx: FakeContext) -> None:
    run(ctx, "test ! -e keep", "test ! -e other.txt")
    run(ctx, "test ! -e other.txt", namespaceFiles={"enabled": False})


def test_output_files_are_found_by_path_and_by_glob(ctx: FakeContext) -> None:
    outputs = run(
        ctx,
        "mkdir -p out/deep && echo 1 > out/a.txt && echo 2 > out/deep/b.txt && echo 3 > 'odd nämé.txt' && echo no > no.bin",
        outputFiles=["out/**", "*.txt", "missing.txt"],
    )
    assert {name: ctx.files.text(uri) for name, uri in outputs["outputFiles"].items()} == {"out/a.txt": "1\n", "out/deep/b.txt": "2\n", "odd nämé.txt": "3\n"}


def test_links_are_not_followed_out_of_the_working_directory(ctx: FakeContext) -> None:
    outputs = run(ctx, "ln -s /etc/passwd secret.txt", "ln -s /etc folder", "echo x > own.txt", "ln -s own.txt again.txt", outputFiles=["**", "secret.txt"])
    assert sorted(outputs["outputFiles"]) == ["again.txt", "own.txt"]


@pytest.mark.parametrize("pattern", ["./x", "../x", "/x", "a/../../x"])
def test_output_files_cannot_be_outside(ctx: FakeContext, pattern: str) -> None:
    with pytest.raises(TaskFailed, match="must be relative to the working directory"):
        run(ctx, "true", outputFiles=[pattern])


def test_storage_uris_in_commands_become_local_copies(ctx: FakeContext, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("I'm here")
    ctx.variables["file"] = ctx.files.put(tmp_path / "given", "given.txt")
    outputs = run(ctx, """echo '::{"outputs": {"extract":"'$(cat {{ file }})'"}}::'""", "cat '{{ file }}'", outputFiles=["**"])
    assert (outputs["vars"], outputs["outputFiles"]) == ({"extract": "I'm here"}, {})


def test_env_is_rendered_and_nothing_of_this_process_leaks(ctx: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_SECRET", "leak")
    monkeypatch.setenv("PYTHONPATH", "leak")
    run(ctx, 'test "$MINE" = "Ada"', 'test "$N" = 3', 'test -z "$RAY_SECRET$PYTHONPATH"', env={"MINE": "{{ name }}", "N": 3, "WORKING_DIR": "no"})
    assert ctx.jobs[0].env["WORKING_DIR"] == str(ctx.working_dir())


def test_before_commands_come_first_and_may_fail(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="exit code 5"):
        run(ctx, "echo never", beforeCommands=["exit 5"])
    assert (Level.INFO, "never") not in ctx.logger.lines


def test_without_interpreter_the_commands_are_the_command_line(ctx: FakeContext) -> None:
    run(ctx, "echo", "a  b", "$HOME", interpreter=[])
    assert ctx.logger.lines == [(Level.INFO, "a  b $HOME")]


def test_another_interpreter_reads_the_commands(ctx: FakeContext) -> None:
    run(ctx, "echo ${BASH_VERSION:+bash}", interpreter=["/bin/bash", "-c"])
    assert ctx.logger.lines == [(Level.INFO, "bash")]


def test_a_command_that_cannot_be_started_says_so(ctx: FakeContext) -> None:
    with pytest.raises(Exception, match="`/no/such` cannot be started"):
        run(ctx, "x", interpreter=["/no/such", "-c"])


def test_a_long_shell_script_is_given_as_a_file(ctx: FakeContext) -> None:
    script = "# " + "x" * 300_000 + "\necho from a long one\nfalse\necho never"
    with pytest.raises(TaskFailed, match="exit code 1"):
        build("shell.Script", script=script).run(ctx)
    assert ctx.logger.lines == [(Level.INFO, "from a long one")]


def test_a_python_script_has_its_own_line_numbers(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="exit code 1"):
        build("python.Script", script="import sys\n\nraise KeyError('{{ name }}')\n").run(ctx)
    assert any("line 3" in line for _, line in ctx.logger.lines)
    assert ctx.logger.lines[-1] == (Level.ERROR, "KeyError: 'Ada'")


def test_python_knows_the_literals_of_templates(ctx: FakeContext) -> None:
    script = "import json\nt = true\nf = false\nn = null\nprint('::' + json.dumps({'outputs': {'t': t, 'f': f, 'n': n}}) + '::')\n"
    assert build("python.Script", script=script).run(ctx)["vars"] == {"t": True, "f": False, "n": None}


def test_python_is_not_buffered_and_runs_before_commands(ctx: FakeContext) -> None:
    build("python.Script", script="import os; print(os.environ['PYTHONUNBUFFERED'], os.environ['X'])", beforeCommands=["export X=y"]).run(ctx)
    assert ctx.logger.lines == [(Level.INFO, "1 y")]


def test_python_commands_find_their_modules(ctx: FakeContext) -> None:
    files = {"main.py": "import otherfile; otherfile.test()", "otherfile.py": "def test(): print(open('sub/t.txt').read())", "sub/t.txt": "OK"}
    build("python.Commands", inputFiles=files, commands=["python main.py"]).run(ctx)
    assert ctx.logger.lines == [(Level.INFO, "OK")]


def test_a_script_task_needs_its_script() -> None:
    with pytest.raises(ValidationError) as caught:
        build("python.Script")
    assert [error["loc"] for error in caught.value.errors()] == [("script",)]


@pytest.mark.parametrize(
    "source",
    [
        "x = null\nprint(x, __import__('sys')._getframe().f_lineno)",
        '"""Doc."""\nfrom __future__ import annotations\nx = null\nprint(x, __import__("sys")._getframe().f_lineno)',
        "def f():\n    return null\nprint(f(), __import__('sys')._getframe().f_lineno)",
        "for x in [true, false, null]:\n    pass\nprint(x, __import__('sys')._getframe().f_lineno)",
    ],
)
def test_literals_move_no_line(ctx: FakeContext, source: str) -> None:
    build("python.Script", script=source).run(ctx)
    assert ctx.logger.lines == [(Level.INFO, f"None {source.count(chr(10)) + 1}")]


@pytest.mark.parametrize("source", ["print('true')", "d = '{\"a\": null}'", "def (:\n null"])
def test_a_script_that_does_not_use_the_literals_is_left_alone(source: str) -> None:
    assert with_literals(source, "x.py") == source


def test_lines_come_live_and_a_stop_ends_the_process(ctx: FakeContext) -> None:
    failures: list[TaskFailed] = []

    def work() -> None:
        try:
            run(ctx, "echo started", "sleep 600", "echo never")
        except TaskFailed as err:
            failures.append(err)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 10
    while not ctx.logger.lines and time.monotonic() < deadline:
        thread.join(0.01)
    assert ctx.logger.lines == [(Level.INFO, "started")]
    ctx.stop()
    thread.join(5)
    assert failures[0].exit_code in (143, 137)


def test_what_a_command_leaves_running_does_not_hold_the_task_up(ctx: FakeContext) -> None:
    outputs = run(ctx, "sleep 600 & echo $! > pid", outputFiles=["pid"])
    pid = int(ctx.files.text(outputs["outputFiles"]["pid"]))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and os.path.exists(f"/proc/{pid}") and "zombie" not in Path(f"/proc/{pid}/status").read_text():
        threading.Event().wait(0.01)
    assert not os.path.exists(f"/proc/{pid}") or "zombie" in Path(f"/proc/{pid}/status").read_text()


def test_odd_output_arrives_whole(ctx: FakeContext) -> None:
    run(ctx, r"printf 'a\rb\r\nc\n\n\377\nlast'")
    assert [line for _, line in ctx.logger.lines] == ["a", "b", "c", "", "\ufffd", "last"]


def test_very_long_lines_and_very_many_arrive_whole(ctx: FakeContext) -> None:
    build("python.Script", script="print('x' * 1_000_000)\nfor i in range(50_000): print(i)").run(ctx)
    assert len(ctx.logger.lines[0][1]) == 1_000_000
    assert [line for _, line in ctx.logger.lines[1:]] == [str(i) for i in range(50_000)]


def test_carried_outputs_may_be_long(ctx: FakeContext) -> None:
    script = "import json\nprint('::' + json.dumps({'outputs': {'x': 'y' * 500_000}}) + '::')"
    assert len(json.dumps(build("python.Script", script=script).run(ctx)["vars"])) > 500_000


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.txt", "a.txt", True),
        ("*.txt", "b/a.txt", False),
        ("out/**", "out/b/a.txt", True),
        ("**/a.txt", "b/a.txt", True),
        ("?.{txt,csv}", "a.csv", True),
        ("[ab].txt", "c.txt", False),
        ("[!ab].txt", "c.txt", True),
        ("a+b.txt", "a+b.txt", True),
    ],
)
def test_globs_mean_what_they_say(pattern: str, path: str, fits: bool) -> None:
    assert matches(pattern, path) is fits


def test_namespace_patterns_may_begin_at_any_folder() -> None:
    assert matches_anywhere("keep/**", "/deep/keep/x")
    assert not matches_anywhere("/keep/**", "/deep/keep/x")
