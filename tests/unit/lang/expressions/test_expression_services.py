"""Functions that reach outside, with and without services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.errors import ExpressionFailed, StoreUnavailable
from orchestrator.lang.expressions import MISSING, NeedsServices, NoServices, Renderer

FLOW = {"flow": {"id": "my_flow", "namespace": "my.space"}, "execution": {"id": "run1"}}
OWN = "kestra:///my/space/my_flow/executions/run1/tasks/t/a.txt"


class Desk:
    """Services over plain maps."""

    def secret(self, namespace: str, key: str) -> str:
        if key == "down":
            raise StoreUnavailable("no store")
        return f"{namespace}/{key}"

    def kv(self, namespace: str, key: str) -> Any:
        return {("my.space", "k"): {"field": [1]}, ("other", "k"): None}.get((namespace, key), MISSING)

    def read(self, path: str, context: Mapping[str, Any]) -> str:
        return f"{path} of {context['execution']['id']} {{{{ flow.id }}}}"

    def file_size(self, path: str, context: Mapping[str, Any]) -> int:
        return len(path)

    def file_exists(self, path: str, context: Mapping[str, Any]) -> bool:
        return "nowhere" not in path

    def error_logs(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{"message": "first", "level": "ERROR"}]


RENDERER = Renderer(Desk())


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("secret('K')", "my.space/K"),
        ("kv('k').field[0]", "1"),
        ("kv('k', 'other') ?? 'null'", "null"),
        ("kv('nosuch') ?? 'd'", "d"),
        ("kv('nosuch').field ?? 'd'", "d"),
        ("kv(key='k', namespace='my.space', errorOnMissing=true).field", "[1]"),
        ("read('q.sql')", "q.sql of run1 {{ flow.id }}"),
        ("render(read('q.sql'))", "q.sql of run1 my_flow"),
        ("fileSize('abc')", "3"),
        (f"fileSize('{OWN}')", str(len(OWN))),
        ("fileExists('abc')", "true"),
        ("fileExists('nowhere/a.txt')", "false"),
        (f"isFileEmpty('{OWN}')", "false"),
        ("errorLogs() | first", '{"message":"first","level":"ERROR"}'),
        ("fileURI('a/b.txt')", "kestra:///my/space/_files/a/b.txt"),
        ("fileURI('/a.txt')", "kestra:///my/space/_files/a.txt"),
        ("read(fileURI('a.txt')) | substringBefore(' ')", "kestra:///my/space/_files/a.txt"),
    ],
)
def test_a_function_reaches_its_service(expression: str, text: str) -> None:
    assert RENDERER.render("{{ " + expression + " }}", FLOW) == text


@pytest.mark.parametrize(
    "path",
    [
        "kestra:///my/space/my_flow/executions/other/tasks/t/a.txt",
        "kestra:///my/space/other/executions/run1/tasks/t/a.txt",
        "kestra:///my/space/my_flow/executions/run1",
        "kestra:///my/space/my_flow/executions/run12/a.txt",
        "file:///etc/passwd",
        "kestra:/my/space/my_flow/executions/run1/a",
    ],
)
def test_a_file_of_another_execution_is_not_read(path: str) -> None:
    for function in ("read", "fileSize", "fileExists", "isFileEmpty"):
        with pytest.raises(ExpressionFailed) as raised:
            RENDERER.render(f"{{{{ {function}(p) }}}}", {**FLOW, "p": path})
        assert f"Unable to read the file '{path}' as it didn't belong to the current execution" in str(raised.value)


@pytest.mark.parametrize("path", ["../x", "a/../../x", OWN.replace("tasks", ".."), OWN.replace("tasks", "%2e%2e"), "a\\..\\b"])
def test_a_path_does_not_climb(path: str) -> None:
    for function in ("read", "fileSize", "fileExists", "fileURI"):
        if function != "fileURI" or "%2e" not in path:
            with pytest.raises(ExpressionFailed, match=r"must not contain '\.\./'"):
                RENDERER.render(f"{{{{ {function}(p) }}}}", {**FLOW, "p": path})


def test_a_file_of_the_execution_that_triggered_this_one_is_read() -> None:
    parent = "kestra:///up/flow/executions/parent/tasks/t/a.txt"
    trigger = {"namespace": "up", "flowId": "flow", "executionId": "parent"}
    assert RENDERER.render("{{ read(p) }}", {**FLOW, "p": parent, "trigger": trigger}).startswith(parent)
    with pytest.raises(ExpressionFailed, match="didn't belong"):
        RENDERER.render("{{ read(p) }}", {**FLOW, "p": parent, "trigger": {"flowId": "flow", "executionId": "parent"}})


def test_a_missing_key_is_an_error_when_asked_for() -> None:
    with pytest.raises(ExpressionFailed, match=r"The key 'x' does not exist in the namespace 'my\.space'\."):
        RENDERER.render("{{ kv('x', errorOnMissing=true) }}", FLOW)


@pytest.mark.parametrize(
    "expression",
    [
        "secret('k')",
        "kv('k')",
        "read('f')",
        "fileSize('f')",
        "fileExists('f')",
        "isFileEmpty('f')",
        "errorLogs()",
        "secret('k') ?? 'd'",
        "render('{{ kv(1 ~ 2) }}')",
    ],
)
def test_without_services_the_rendering_says_that_it_needs_them(expression: str) -> None:
    with pytest.raises(NeedsServices):
        Renderer().render("{{ " + expression + " }}", FLOW)


def test_a_branch_that_is_not_taken_needs_no_services() -> None:
    assert Renderer().render("{{ true ? 'a' : secret('k') }}{{ flow.id ?? kv('k') }}", FLOW) == "amy_flow"


def test_a_place_without_services_says_so() -> None:
    with pytest.raises(ExpressionFailed, match="The 'secret' function is not available here") as raised:
        Renderer(NoServices()).render("{{ secret('k') }}", FLOW)
    assert not isinstance(raised.value, NeedsServices)


def test_a_failing_service_is_not_taken_for_a_wrong_expression() -> None:
    with pytest.raises(StoreUnavailable):
        RENDERER.render("{{ secret('down') ?? 'd' }}", FLOW)


def test_the_namespace_must_be_known() -> None:
    with pytest.raises(ExpressionFailed, match=r"needs the variable flow\.namespace"):
        RENDERER.render("{{ secret('k') }}", {})
