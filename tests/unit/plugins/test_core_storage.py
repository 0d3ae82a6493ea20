"""Stored files, files of namespaces, logs and counts, by tasks without a server."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import registry
from orchestrator.lang.expressions import Renderer
from orchestrator.sdk import Task, TaskFailed
from orchestrator.sdk.fakes import FakeContext
from orchestrator_plugins.core import rows


class Context(FakeContext):
    """Renders with the real language, as expressions on items need it."""

    def _text(self, source: str) -> str:
        return Renderer().render(source, self.variables)

    def render_typed(self, template: str) -> Any:
        return Renderer().render_typed(template, self.variables)

    def with_variables(self, extra: Any) -> Any:
        other = object.__new__(Context)
        other.__dict__.update(self.__dict__, variables={**self.variables, **extra})
        return other


def build(name: str, /, **properties: Any) -> Task:
    made: Task = registry.load("task", name).model_validate({"id": "t", "type": name, **properties})
    return made


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context(tmp_path, {"name": "Ada"}, namespaces={"acme": {"/a/b/test1.txt": "1", "/a/b/test2.txt": "2", "/c.sql": "3"}})


def store(ctx: FakeContext, text: str, name: str = "file.yml") -> str:
    return ctx.files.put(io.BytesIO(text.encode()), name)


def texts(ctx: FakeContext, uris: Any) -> list[str]:
    return [ctx.files.text(uri) for uri in uris]


@pytest.mark.parametrize(("extension", "ending"), [({}, ""), ({"extension": ".txt"}, ".txt")])
def test_a_written_file_holds_the_text_and_its_name_ends_as_asked(ctx: Context, extension: dict[str, str], ending: str) -> None:
    uri = build("io.kestra.plugin.core.storage.Write", content="Hallo {{ name }} \u00fc\n", **extension).run(ctx)["uri"]
    assert texts(ctx, [uri]) == ["Hallo Ada \u00fc\n"]
    assert str(uri).endswith(f"written{ending}")


@given(st.binary(max_size=200), st.sampled_from([b"\n", b"\r\n", b"ab"]), st.integers(1, 7))
def test_rows_are_those_of_splitting_at_once_in_both_directions(data: bytes, separator: bytes, block: int) -> None:
    whole = data.split(separator)
    whole = whole[:-1] if whole[-1] == b"" else whole
    assert list(rows.rows(io.BytesIO(data), separator, block)) == whole
    assert list(rows.rows_backwards(io.BytesIO(data), separator, block)) == whole[::-1]


@pytest.mark.parametrize(("text", "size"), [("512", 512), ("1KB", 1024), ("10 mb", 10 << 20), ("1GiB", 1 << 30)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert rows.byte_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "KB", "-1KB", "1XB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        rows.byte_size(text)


@pytest.mark.parametrize("as_json", [True, False])
def test_files_are_put_together_with_a_separator_after_each(ctx: Context, as_json: bool) -> None:
    uris = [store(ctx, "one"), store(ctx, "two")]
    uri = build("core.storage.Concat", files=json.dumps(uris) if as_json else uris, separator="\n", extension=".yml").run(ctx)["uri"]
    assert ctx.files.text(uri) == "one\ntwo\n"
    assert uri.endswith(".yml")
    assert not any((ctx.working_dir()).iterdir())


def test_concat_takes_a_template_of_a_list(ctx: Context) -> None:
    ctx.variables["uris"] = [store(ctx, "one"), store(ctx, "two")]
    assert ctx.files.text(build("core.storage.Concat", files="{{ uris }}").run(ctx)["uri"]) == "onetwo"


def test_lines_are_turned_round_and_the_name_stays(ctx: Context) -> None:
    uri = build("core.storage.Reverse", **{"from": store(ctx, "1\n2\n3\n")}).run(ctx)["uri"]
    assert ctx.files.text(uri) == "3\n2\n1\n"
    assert uri.endswith(".yml")


def test_a_file_is_measured_deleted_and_missed(ctx: Context) -> None:
    uri = store(ctx, "12345")
    assert build("core.storage.Size", uri=uri).run(ctx) == {"size": 5}
    assert [build("core.storage.Delete", uri=uri).run(ctx)["deleted"] for _ in range(2)] == [True, False]
    with pytest.raises(TaskFailed, match="does not exist"):
        build("core.storage.Delete", uri=uri, errorOnMissing=True).run(ctx)


def test_all_files_of_the_execution_are_purged(ctx: Context) -> None:
    uris = {store(ctx, "a"), store(ctx, "b")}
    assert set(build("core.storage.PurgeCurrentExecutionFiles").run(ctx)["uris"]) == uris
    assert build("io.kestra.core.tasks.storages.PurgeExecution").run(ctx) == {"uris": []}


def test_local_files_are_made_and_kept_by_pattern(ctx: Context) -> None:
    inputs = {"in/a.txt": "hello {{ name }}", "in/deep/b.txt": store(ctx, "stored"), "c.txt": None}
    uris = build("core.storage.LocalFiles", inputs=inputs, outputs=["in/**", "c.txt", "none.txt"]).run(ctx)["uris"]
    assert {name: ctx.files.text(uri) for name, uri in uris.items()} == {"in/a.txt": "hello Ada", "in/deep/b.txt": "stored", "c.txt": ""}


def test_local_files_found_in_the_directory_are_kept_without_inputs(ctx: Context) -> None:
    (ctx.working_dir() / "left.txt").write_text("left")
    assert list(build("core.storage.LocalFiles", outputs=["left.txt"]).run(ctx)["uris"]) == ["left.txt"]


@pytest.mark.parametrize("name", ["../x", "/x"])
def test_local_files_stay_in_the_directory(ctx: Context, name: str) -> None:
    with pytest.raises(TaskFailed, match="working directory"):
        build("core.storage.LocalFiles", inputs={name: "x"}).run(ctx)
    with pytest.raises(TaskFailed, match="working directory"):
        build("core.storage.LocalFiles", outputs=[name]).run(ctx)


def test_rows_are_dealt_in_turn_to_partitions(ctx: Context) -> None:
    made = build("core.storage.Split", **{"from": store(ctx, "1\n2\n3\n4\n5"), "partitions": 3}).run(ctx)
    assert texts(ctx, made["uris"]) == ["1\n4\n", "2\n5\n", "3\n"]


@pytest.mark.parametrize(("how", "files"), [({"rows": 2}, ["11\n22\n", "33\n"]), ({"bytes": "4B"}, ["11\n22\n", "33\n"]), ({"bytes": "1KB"}, ["11\n22\n33\n"])])
def test_a_file_is_cut_after_so_many_rows_or_bytes(ctx: Context, how: dict[str, Any], files: list[str]) -> None:
    assert texts(ctx, build("core.storage.Split", **{"from": store(ctx, "11\n22\n33\n"), **how}).run(ctx)["uris"]) == files


def test_an_empty_file_is_cut_into_none(ctx: Context) -> None:
    assert build("core.storage.Split", **{"from": store(ctx, ""), "partitions": 3}).run(ctx) == {"uris": []}


@pytest.mark.parametrize(("how", "told"), [({}, "one of"), ({"rows": 0}, "at least 1"), ({"partitions": 0}, "at least 1"), ({"bytes": "x"}, "not a size")])
def test_a_cut_that_cannot_be_made_is_refused(ctx: Context, how: dict[str, Any], told: str) -> None:
    with pytest.raises(TaskFailed, match=told):
        build("core.storage.Split", **{"from": store(ctx, "1\n"), **how}).run(ctx)


def test_a_stopped_run_cuts_no_further(ctx: Context) -> None:
    ctx.stop()
    with pytest.raises(TaskFailed, match="stopped"):
        build("core.storage.Split", **{"from": store(ctx, "1\n"), "rows": 1}).run(ctx)


@pytest.mark.parametrize("quote", ['"', ""])
def test_of_items_with_one_key_the_last_stays_in_json_and_ion(ctx: Context, quote: str) -> None:
    lines = [f'{{{quote}key{quote}:"{key}",{quote}n{quote}:{n}}}' for n, key in enumerate(["a", "b", "a", "c", "b"])]
    made = build("core.storage.DeduplicateItems", **{"from": store(ctx, "\n".join(lines) + "\n"), "expr": " {{ key }} "}).run(ctx)
    assert ctx.files.text(made.pop("uri")).splitlines() == lines[2:]  # type: ignore[attr-defined]
    assert made == {"numKeys": 3, "processedItemsTotal": 5, "droppedItemsTotal": 2}


def test_an_item_without_the_key_is_told_by_its_number(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match="item 2"):
        build("core.storage.DeduplicateItems", **{"from": store(ctx, '{"key":1}\n{"other":1}\n'), "expr": "{{ key }}"}).run(ctx)


ITEMS = ['{key:"k1",value:1}', '{key:"k2",value:"dummy"}', '{key:"k3",value:3}', '{key:"k4",value:4}']


@pytest.mark.parametrize(
    ("kind", "otherwise", "kept"),
    [("INCLUDE", "INCLUDE", [1, 3]), ("INCLUDE", "EXCLUDE", [3]), ("EXCLUDE", "INCLUDE", [0, 1, 2]), ("EXCLUDE", "EXCLUDE", [0, 2])],
)
def test_items_are_kept_by_a_condition_and_broken_ones_as_told(ctx: Context, kind: str, otherwise: str, kept: list[int]) -> None:
    how = {"filterCondition": " {{ value % 2 == 0 }} ", "filterType": kind, "errorOrNullBehavior": otherwise}
    made = build("core.storage.FilterItems", **{"from": store(ctx, "\n".join(ITEMS)), **how}).run(ctx)
    assert ctx.files.text(made["uri"]).splitlines() == [ITEMS[number] for number in kept]
    assert (made["processedItemsTotal"], made["droppedItemsTotal"]) == (4, 4 - len(kept))


@pytest.mark.parametrize("line", [ITEMS[1], "[1]", "{", '{"value": null, "x": 1}'])
def test_an_item_whose_condition_cannot_be_told_fails_unless_told_otherwise(ctx: Context, line: str) -> None:
    condition = "{{ value }}" if "null" in line else "{{ value % 2 == 0 }}"
    with pytest.raises(TaskFailed, match="item 1"):
        build("core.storage.FilterItems", **{"from": store(ctx, line), "filterCondition": condition}).run(ctx)


def test_stored_files_are_uploaded_into_a_folder(ctx: Context) -> None:
    made = build("core.namespace.UploadFiles", namespace="acme", filesMap={"/x/{{ name }}.txt": store(ctx, "new")}, destination="/folder").run(ctx)
    assert ctx.files.namespaces["acme"]["/folder/x/Ada.txt"] == "new"
    assert made == {"files": {"/folder/x/Ada.txt": "kestra:///acme/_files/folder/x/Ada.txt"}}


def test_files_of_the_directory_are_uploaded_by_pattern(ctx: Context) -> None:
    for name in ("application-test.yml", "other.yml"):
        (ctx.working_dir() / name).write_text(name)
    made = build("core.namespace.UploadFiles", namespace="up", files=["glob:**application**", store(ctx, "s", "stored.txt")], destination="/d/").run(ctx)
    assert ctx.files.namespaces["up"] == {"/d/application-test.yml": "application-test.yml", "/d/stored.txt": "s"}
    assert len(made["files"]) == 2


@pytest.mark.parametrize(("conflict", "left"), [("OVERWRITE", "new"), ("SKIP", "3")])
def test_a_file_that_is_there_is_overwritten_or_left(ctx: Context, conflict: str, left: str) -> None:
    build("core.namespace.UploadFiles", filesMap={"c.sql": store(ctx, "new")}, conflict=conflict).run(ctx)
    assert ctx.files.namespaces["acme"]["/c.sql"] == left


def test_a_file_that_is_there_may_be_an_error(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match=r"'/c\.sql' exists already"):
        build("core.namespace.UploadFiles", filesMap={"c.sql": store(ctx, "new")}, conflict="ERROR").run(ctx)


def test_only_stored_files_are_uploaded_by_uri(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match="is not the URI"):
        build("core.namespace.UploadFiles", filesMap={"x": "/etc/passwd"}).run(ctx)


def test_namespace_files_are_downloaded_by_pattern(ctx: Context) -> None:
    made = build("core.namespace.DownloadFiles", namespace="acme", files=["**test1.txt", "/c.sql"]).run(ctx)
    assert {path: ctx.files.text(uri) for path, uri in made["files"].items()} == {"/a/b/test1.txt": "1", "/c.sql": "3"}
    assert list(build("core.namespace.DownloadFiles", files="c.*", destination="d").run(ctx)["files"]) == ["/d/c.sql"]


def test_namespace_files_are_deleted_by_pattern(ctx: Context) -> None:
    assert build("core.namespace.DeleteFiles", files=["**test1*", "c.sql"]).run(ctx) == {}
    assert ctx.files.namespaces["acme"] == {"/a/b/test2.txt": "2"}
    assert ctx.metrics == [("counter", "deleted", 2, {})]


def test_a_described_task_is_run_in_place_of_the_template(ctx: Context) -> None:
    ctx.tasks["type: Ada"] = build("core.debug.Return", format="alive")
    assert build("core.templating.TemplatedTask", spec="type: {{ name }}").run(ctx) == {"value": "alive"}


def test_a_described_task_is_neither_flowable_nor_a_template_itself(ctx: Context) -> None:
    ctx.tasks["a"] = build("core.flow.Sequential", tasks=[{"id": "x", "type": "core.debug.Return"}])
    ctx.tasks["b"] = build("io.kestra.plugin.core.templating.TemplatedTask", spec="a")
    with pytest.raises(TaskFailed, match="must be a runnable task"):
        build("core.templating.TemplatedTask", spec="a").run(ctx)
    with pytest.raises(TaskFailed, match=r"cannot be of type 'io\.kestra\.plugin\.core\.templating\.TemplatedTask'"):
        build("io.kestra.plugin.core.templating.TemplatedTask", spec="b").run(ctx)


def test_log_lines_are_fetched_to_a_file(ctx: Context) -> None:
    ctx.records.lines["e1"] = [{"taskId": task, "level": level, "message": "m"} for task, level in (("a", "INFO"), ("a", "DEBUG"), ("b", "ERROR"))]
    made = build("core.log.Fetch").run(ctx)
    assert made["size"] == 2
    assert [json.loads(line)["taskId"] for line in ctx.files.text(made["uri"]).splitlines()] == ["a", "b"]
    assert build("core.log.Fetch", executionId="e1", tasksId=["a"], level="DEBUG").run(ctx)["size"] == 2


def test_executions_are_counted_and_kept_by_the_expression(ctx: Context) -> None:
    ctx.records.executions = [("acme", "f", "SUCCESS"), ("acme", "f", "SUCCESS"), ("acme", "g", "FAILED")]
    flows = [{"namespace": "acme", "flowId": "f"}, {"namespace": "acme", "flowId": "g"}]
    made = build("core.execution.Count", flows=flows, states=["SUCCESS"], expression="{{ count >= 2 }}").run(ctx)
    assert made == {"results": [{"namespace": "acme", "flowId": "f", "count": 2}], "total": 2}
    assert build("core.execution.Count", flows=flows, expression="{{ count > 5 }}").run(ctx) == {"results": [], "total": 0}
    assert build("core.execution.Count", namespaces=["acme"], expression="true").run(ctx)["total"] == 3
    with pytest.raises(TaskFailed, match="is needed"):
        build("core.execution.Count", expression="true").run(ctx)
