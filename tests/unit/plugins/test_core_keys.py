"""Keys and states of a namespace, kept by tasks without a server."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.sdk import Task, TaskFailed
from orchestrator.sdk.fakes import FakeContext


def build(name: str, /, **properties: Any) -> Task:
    made: Task = registry.load("task", name).model_validate({"id": "t", "type": name, **properties})
    return made


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, {"name": "Ada", "n": 3, "map": {"a": 1}, "wait": "PT5M"})


@pytest.mark.parametrize(
    ("value", "kept"), [("{{ map }}", {"a": 1}), ("{{ n }}", 3), ("{{ name }}!", "Ada!"), ("7", "7"), (7, 7), ({"x": ["{{ name }}"]}, {"x": ["Ada"]})]
)
def test_a_key_keeps_the_type_of_a_lone_template(ctx: FakeContext, value: Any, kept: Any) -> None:
    assert build("core.kv.Set", key="k-{{ n }}", value=value).run(ctx) == {}
    assert ctx.keys.values == {("acme", "k-3"): kept}


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("NUMBER", "123.45", 123.45),
        ("NUMBER", "{{ n }}", 3),
        ("BOOLEAN", "true", True),
        ("BOOLEAN", "no", False),
        ("DATETIME", "2023-05-02T01:02:03Z", "2023-05-02T01:02:03Z"),
        ("DATE", "2023-05-02", "2023-05-02"),
        ("DURATION", "PT1H", "PT1H"),
        ("JSON", '[{"a": 1}]', [{"a": 1}]),
        ("STRING", "{{ n }}", "3"),
    ],
)
def test_a_text_value_is_read_as_the_type_asked_for(ctx: FakeContext, kind: str, value: str, kept: Any) -> None:
    build("core.kv.Set", key="k", value=value, kvType=kind).run(ctx)
    assert ctx.keys.values["acme", "k"] == kept
    assert type(ctx.keys.values["acme", "k"]) is type(kept)


@pytest.mark.parametrize(("kind", "value"), [("NUMBER", "true"), ("NUMBER", "x"), ("DATETIME", "2023-05-02T01:02:03"), ("DURATION", "1h"), ("JSON", "{")])
def test_a_value_that_is_not_of_the_type_fails(ctx: FakeContext, kind: str, value: str) -> None:
    with pytest.raises(TaskFailed, match=f"the value of key 'k' is no {kind}"):
        build("core.kv.Set", key="k", value=value, kvType=kind).run(ctx)
    assert ctx.keys.values == {}


def test_a_key_has_a_time_to_live_a_description_and_a_namespace(ctx: FakeContext) -> None:
    build("core.kv.Set", key="k", value="v", ttl="{{ wait }}", kvDescription="of {{ name }}", namespace="other.{{ name }}").run(ctx)
    assert ctx.keys.about == {("other.Ada", "k"): (timedelta(minutes=5), "of Ada")}


def test_a_key_that_is_there_is_not_overwritten_against_the_flows_will(ctx: FakeContext) -> None:
    build("core.kv.Set", key="k", value="one", overwrite=False).run(ctx)
    with pytest.raises(TaskFailed, match=r"Cannot set value for key 'k'. Key already exists and `overwrite` is set to `false`."):
        build("core.kv.Set", key="k", value="two", overwrite=False).run(ctx)
    assert ctx.keys.values["acme", "k"] == "one"


def test_a_key_is_got_deleted_and_missed(ctx: FakeContext) -> None:
    ctx.keys.put("acme", "k", {"a": 1})
    assert build("core.kv.Get", key="k").run(ctx) == {"value": {"a": 1}}
    assert build("core.kv.Delete", key="k").run(ctx) == {"deleted": True}
    assert build("core.kv.Delete", key="k").run(ctx) == {"deleted": False}
    assert build("core.kv.Get", key="k").run(ctx) == {"value": None}
    for name in ("Get", "Delete"):
        with pytest.raises(TaskFailed, match="No value found for key 'k' in namespace 'acme' and `errorOnMissing` is set to true"):
            build(f"core.kv.{name}", key="k", errorOnMissing=True).run(ctx)


def test_keys_are_listed_by_prefix(ctx: FakeContext) -> None:
    for key in ("Ada-1", "Ada-2", "other"):
        ctx.keys.put("acme", key, 1)
    assert build("core.kv.GetKeys").run(ctx) == {"keys": ["Ada-1", "Ada-2", "other"]}
    assert build("core.kv.GetKeys", prefix="{{ name }}").run(ctx) == {"keys": ["Ada-1", "Ada-2"]}
    assert build("core.kv.GetKeys", namespace="empty").run(ctx) == {"keys": []}


def test_a_state_is_put_over_what_was_kept_until_it_is_deleted(ctx: FakeContext) -> None:
    assert build("core.state.Get").run(ctx) == {"count": 0, "data": {}}
    assert build("core.state.Set", data={"{{ name }}": "{{ n }}", "deep": {"a": 1}}).run(ctx)["count"] == 2
    assert build("core.state.Set", data={"more": 1, "deep": {"b": 2}}).run(ctx)["count"] == 3
    assert build("core.state.Get").run(ctx) == {"count": 3, "data": {"Ada": "3", "more": 1, "deep": {"a": 1, "b": 2}}}
    assert [build("core.state.Delete").run(ctx)["deleted"] for _ in range(2)] == [True, False]
    for name in ("Get", "Delete"):
        with pytest.raises(TaskFailed, match="there is no state 'default' of the flow"):
            build(f"core.state.{name}", errorOnMissing=True).run(ctx)


def test_a_state_belongs_to_the_flow_unless_the_namespace_shares_it(ctx: FakeContext) -> None:
    build("core.state.Set", name="s", namespace=True, data={"a": 1}).run(ctx)
    assert build("core.state.Get", name="s").run(ctx)["count"] == 0
    assert build("core.state.Get", name="s", namespace=True).run(ctx)["count"] == 1
    assert list(ctx.keys.values) == [("acme", "states_tasks-states_s")]


def test_each_iteration_has_its_own_state_unless_told_otherwise(ctx: FakeContext) -> None:
    one, two = (ctx.with_variables({}) for _ in range(2))
    for context, value in ((one, "one"), (two, "two")):
        context.info = context.info.model_copy(update={"value": value})
    build("core.state.Set", data={"a": 1}).run(one)
    assert build("core.state.Get").run(two)["count"] == 0
    build("core.state.Set", data={"a": 1}, taskrunValue=False).run(one)
    assert build("core.state.Get", taskrunValue=False).run(two)["count"] == 1
