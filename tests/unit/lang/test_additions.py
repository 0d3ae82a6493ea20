"""What only this server knows of flows: the page that lists it, and the dialect that refuses it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.lang.check import check
from orchestrator.lang.diagnostics import Diagnostic, errors_of
from orchestrator.lang.kestra import ADDITIONS

PAGE = (Path(__file__).parents[3] / "docs/additions.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

HEAD = "id: f\nnamespace: n\ntasks:\n"
LOG = "io.kestra.plugin.core.log.Log"
SHELL = "io.kestra.plugin.scripts.shell.Commands"


def lint(source: str) -> Sequence[Diagnostic]:
    found = check(source, dialect="kestra")[1]
    assert {d.code for d in errors_of(found)} <= {"not-kestra"}
    return [d for d in found if d.code == "not-kestra"]


def task(type: str, properties: str) -> str:
    return HEAD + f"  - {{id: t, type: {type}, {'message: hi' if type == LOG else 'commands: [ls]'}, {properties}}}\n"


def test_every_example_of_the_page_is_a_good_flow() -> None:
    assert len(EXAMPLES) == 4
    for example in EXAMPLES:
        assert check(example)[1] == ()


def test_every_example_of_the_page_is_refused_as_kestras() -> None:
    for example in EXAMPLES:
        assert lint(example) != []


def test_every_addition_has_a_chapter_of_the_page() -> None:
    chapters = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert chapters[:3] == [chapter for name in ADDITIONS for chapter in chapters if chapter.startswith(f"`{name}`")]
    assert chapters[3:] == ["Short type names"]


@pytest.mark.parametrize(
    ("source", "name", "path"),
    [
        (task(LOG, "placement: [{workerGroup: gpu}]"), "placement", "tasks[0].placement"),
        (task(LOG, "resources: {cpu: 1}"), "resources", "tasks[0].resources"),
        (task(LOG, "queueTimeout: PT1M"), "queueTimeout", "tasks[0].queueTimeout"),
        (task(LOG, "disabled: false") + "placement: [{workerGroup: gpu}]\n", "placement", "placement"),
        (
            HEAD + f"  - id: s\n    type: io.kestra.plugin.core.flow.Sequential\n    tasks: [{{id: t, type: {LOG}, message: hi, queueTimeout: PT1M}}]\n",
            "queueTimeout",
            "tasks[0].tasks[0].queueTimeout",
        ),
        (task(LOG, "disabled: false") + f"errors: [{{id: e, type: {LOG}, message: hi, resources: {{cpu: 1}}}}]\n", "resources", "errors[0].resources"),
        (
            task(LOG, "disabled: false") + f"pluginDefaults: [{{type: {LOG}, values: {{queueTimeout: PT1M}}}}]\n",
            "queueTimeout",
            "pluginDefaults[0].values.queueTimeout",
        ),
    ],
)
def test_an_addition_is_refused_once_where_it_stands(source: str, name: str, path: str) -> None:
    (problem,) = lint(source)
    assert (problem.message, problem.path, problem.severity) == (f"Kestra knows no `{name}`", path, "error")
    line = source.splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith(f"{name}:")
    assert check(source)[1] == ()


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("placement: [{workerGroup: gpu, wait: PT5S}, {workerGroup: big}]", "write `workerGroup: {key: gpu}` and choose its `fallback`"),
        ("placement: [{workerGroup: {key: gpu}}]", "write `workerGroup: {key: gpu}` and choose its `fallback`"),
        ("placement: [{workerGroup: {tags: [gpu, eu]}}]", "write `workerSelector: {tags: [gpu, eu]}` and choose its `fallback`"),
        ("placement: [{taskRunner: {type: io.kestra.plugin.core.runner.Process}}]", "name the runner in the `taskRunner` of each script task"),
        ("placement: [{workerGroup: ''}]", "leave it out: the default group needs no word"),
        ("resources: {gpu: 1}", "name a `workerGroup` whose machines have them, or give a `taskRunner` limits of its own"),
        ("queueTimeout: PT1M", "leave it out; `fallback: FAIL` ends a run that no worker can take, and `timeout` bounds one that has begun"),
    ],
)
def test_what_to_write_instead_is_told(written: str, instead: str) -> None:
    (problem,) = lint(task(SHELL, written))
    assert problem.help == instead


def test_short_names_of_types_are_told_in_full() -> None:
    source = task("core.log.Log", "message: hi").replace("commands: [ls], ", "")
    (problem,) = lint(source)
    assert (problem.path, problem.help) == ("tasks[0].type", f"write `{LOG}`")
    (problem,) = lint(task(SHELL, "taskRunner: {type: core.runner.Process}"))
    assert problem.path == "tasks[0].taskRunner.type"


def test_kestras_own_ways_to_choose_workers_pass() -> None:
    assert lint(task(LOG, "workerGroup: {key: gpu, fallback: FAIL}")) == []
    assert lint(task(LOG, "workerSelector: {tags: [gpu], fallback: IGNORE}") + "workerSelector: {tags: [eu]}\n") == []


def test_a_property_of_a_plugin_that_is_only_called_like_an_addition_passes() -> None:
    assert lint(task(SHELL, "env: {placement: a, resources: b, queueTimeout: c}") + "variables: {placement: 1, resources: {cpu: 2}}\n") == []
