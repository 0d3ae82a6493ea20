"""What a running task sees: variables completed on demand, secrets, its folder, its runner."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator.lang.sealing import Sealer
from orchestrator.runtime.local_services import LocalServices
from orchestrator.sdk import Dynamic, Json, Level, Parsed, RunContext, Task, Text, job_key
from tests.unit.runtime.worker_house import House

SEALER = Sealer(b"k" * 32)
RETURN = "io.kestra.plugin.core.debug.Return"


class Shows(Task):
    """Gives back its properties rendered."""

    number: Dynamic[int] | None = None
    level: Dynamic[Level] | None = None
    mapping: Dynamic[Parsed[Mapping[str, Json]]] | None = None
    texts: tuple[Dynamic[Text], ...] = ()
    typed: str | None = None

    def run(self, ctx: RunContext) -> Mapping[str, Any]:
        shown = {name: ctx.render(getattr(self, name)) for name in ("number", "level", "mapping", "texts")}
        return {**shown, "typed": ctx.render_typed(self.typed) if self.typed else None}


class Uses(Task):
    """Asks its context for one thing."""

    what: str
    seen: ClassVar[dict[str, Any]] = {}

    def run(self, ctx: RunContext) -> Mapping[str, Any]:
        match self.what:
            case "folder":
                folder = ctx.working_dir()
                (folder / "file").write_text("x")
                self.seen["folder"] = folder
                return {"same": str(ctx.working_dir()) == str(folder), "mode": stat.S_IMODE(folder.stat().st_mode)}
            case "runner":
                ctx.runner({"type": "test.Nowhere"})
            case "files":
                return {"text": ctx.files.open(ctx.files.put(self.seen["folder"], "x")).read().decode()}
            case "more":
                return {"value": ctx.with_variables({"extra": 1}).render_typed("{{ extra }}{{ inputs.x }}")}
            case "seal":
                sealed = ctx.seal("very secret")
                ctx.logger.info("very secret")
                return {"sealed": sealed}
            case "secret":
                texts = ["it is deep-one", "ZGVlcC1vbmU=", "nothing of it"]
                before = [ctx.holds_secret(text) for text in texts]
                ctx.render("{{ secret('S') }}")
                return {"before": before, "after": [ctx.holds_secret(text) for text in texts]}
            case "cache":
                (ctx.cache_dir() / "kept").write_text("x")
                self.seen["cache"] = ctx.cache_dir()
            case "adopts":
                return {"adopts": ctx.adopts(), "key": job_key(ctx.info)}
            case "environment":
                return dict(ctx.tools().environment())
        return {}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, {"test.Shows": Shows, "test.Uses": Uses})
    made.services = LocalServices(sealer=SEALER)
    yield made
    made.worker.close()


def value(house: House, template: str, **facts: Any) -> Any:
    house.run({"type": RETURN, "format": template}, **facts)
    outcome = house.executor.outcome()
    return outcome["outputs"].get("value", outcome.get("error"))


def test_properties_are_rendered_and_read_as_their_types(house: House) -> None:
    house.run(
        {
            "type": "test.Shows",
            "number": "{{ inputs.n }}",
            "level": "{{ 'WARN' }}",
            "mapping": {"a": ["{{ inputs.n }}"], "{{ 'k' }}": 1},
            "texts": ["{{ inputs.n }}", "b"],
            "typed": "{{ inputs.n }}",
        },
        context={"inputs": {"n": 5}},
    )
    assert house.executor.outcome()["outputs"] == {"number": 5, "level": "WARN", "mapping": {"a": ["5"], "k": 1}, "texts": ["5", "b"], "typed": 5}


def test_text_that_does_not_fit_its_type_fails_with_the_template(house: House) -> None:
    house.run({"type": "test.Shows", "number": "{{ 'abc' }}"})
    outcome = house.executor.outcome()
    assert outcome["cause"] == "EXPRESSION"
    assert "{{ 'abc' }}" in outcome["error"]


def test_outputs_that_are_near_are_not_fetched(house: House) -> None:
    assert value(house, "{{ outputs.t.a.value }}", context={"outputs": {"t": {"a": {"value": 1}}}}, partial=["t"]) == "1"
    assert house.services.fetched == []


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ outputs.t.b.value }}", "2"),
        ("{{ outputs.t | length }}", "2"),
        ("{{ outputs.t.a.other ?? 'none' }}", "3"),
        ("{% for e in outputs.t %}{{ e.key }}{% endfor %}", "ab"),
    ],
)
def test_outputs_that_are_not_near_are_fetched_once(house: House, template: str, expected: str) -> None:
    house.services.all_outputs["t"] = {"a": {"value": 1, "other": 3}, "b": {"value": 2}}
    assert value(house, template, context={"outputs": {"t": {"a": {"value": 1}}}}, partial=["t"]) == expected
    assert house.services.fetched == ["t"]


def test_a_task_without_outputs_has_none(house: House) -> None:
    assert value(house, "{{ outputs.t.x ?? 'none' }}", context={"outputs": {}}, partial=["t"]) == "none"


def test_a_sealed_value_is_opened_when_read_and_masked_from_then_on(house: House) -> None:
    sealed = SEALER.seal("hunter2!")
    house.run({"type": "io.kestra.plugin.core.log.Log", "message": "it is {{ inputs.key }}"}, context={"inputs": {"key": sealed}})
    house.executor.outcome()
    assert house.executor.lines() == [("INFO", "it is ********")]


def test_a_sealed_value_inside_lists_and_fetched_outputs_is_opened(house: House) -> None:
    house.services.all_outputs["t"] = {"list": [SEALER.seal("one")]}
    assert value(house, "{{ outputs.t.list[0] | upper }}", context={"outputs": {}}, partial=["t"]) == "ONE"


def test_keys_secrets_and_files_are_read_by_expressions(house: House) -> None:
    house.services.secrets["S"] = "deep"
    house.services.keys.put("acme", "k", {"a": [1]})
    house.services.local_files.namespaces["acme"] = {"/dir/x.txt": b"text"}
    context = {"flow": {"namespace": "acme"}}
    template = "{{ secret('S') }} {{ kv('k').a[0] }} {{ kv('none') ?? 'null' }} {{ read('dir/x.txt') }} {{ fileSize('dir/x.txt') }}"
    assert value(house, template, context=context) == "deep 1 null text 4"


def test_expressions_tell_whether_a_file_is_there_and_empty(house: House) -> None:
    house.services.local_files.namespaces["acme"] = {"/dir/x.txt": b"text", "/dir/none.txt": b""}
    template = "{{ fileExists('dir/x.txt') }} {{ fileExists('x.txt') }} {{ isFileEmpty('dir/x.txt') }} {{ fileEmpty('dir/none.txt') }}"
    assert value(house, template, context={"flow": {"namespace": "acme"}}) == "true false false true"


def test_a_missing_secret_fails_the_run(house: House) -> None:
    assert "Cannot find secret for key 'NONE'" in value(house, "{{ secret('NONE') }}", context={"flow": {"namespace": "acme"}})


def test_a_working_directory_is_the_owners_own_and_goes_with_the_run(house: House) -> None:
    house.run({"type": "test.Uses", "what": "folder"})
    assert house.executor.outcome()["outputs"] == {"same": True, "mode": 0o700}
    house.worker.close()
    assert not Uses.seen["folder"].exists()


def test_a_runner_that_is_not_installed_fails_the_start(house: House) -> None:
    house.run({"type": "test.Uses", "what": "runner"})
    assert house.executor.outcome()["cause"] == "START_FAILED"


def test_more_variables_are_seen_by_templates_of_that_context_only(house: House) -> None:
    house.run({"type": "test.Uses", "what": "more"}, context={"inputs": {"x": 2}})
    assert house.executor.outcome()["outputs"] == {"value": 3}


def test_a_run_knows_its_secrets_in_whatever_form_once_they_were_rendered(house: House) -> None:
    house.services.secrets["S"] = "deep-one"
    house.run({"type": "test.Uses", "what": "secret"}, context={"flow": {"namespace": "acme"}})
    assert house.executor.outcome()["outputs"] == {"before": [False, False, False], "after": [True, True, False]}


def test_what_is_kept_in_the_cache_outlives_the_worker(house: House) -> None:
    house.run({"type": "test.Uses", "what": "cache"})
    house.executor.outcome()
    house.worker.close()
    assert (Uses.seen["cache"] / "kept").read_text() == "x"


def test_a_run_is_told_whether_it_goes_on_with_a_job(house: House) -> None:
    house.run({"type": "test.Uses", "what": "adopts"})
    first = house.executor.outcome()["outputs"]
    assert first["adopts"] is False
    house.run({"type": "test.Uses", "what": "adopts"}, lease=2, job={"key": first["key"], "runner": "x", "backend": "y", "details": {}})
    house.executor.until(lambda: len(house.executor.of("outcome")) == 2)
    assert house.executor.of("outcome")[1]["outputs"]["adopts"] is True


def test_what_is_sealed_is_masked(house: House) -> None:
    house.run({"type": "test.Uses", "what": "seal"})
    assert SEALER.open(house.executor.outcome()["outputs"]["sealed"]) == "very secret"
    assert house.executor.lines() == [("INFO", "********")]


def test_commands_see_nothing_of_the_workers_environment(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TOKEN", "x")
    monkeypatch.setenv("PYTHONPATH", "/x")
    monkeypatch.setenv("LC_ALL", "C")
    house.run({"type": "test.Uses", "what": "environment"})
    outputs = house.executor.outcome()["outputs"]
    assert (outputs["LC_ALL"], "PATH" in outputs, {"RAY_TOKEN", "PYTHONPATH"} & outputs.keys()) == ("C", True, set())
