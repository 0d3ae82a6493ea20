"""What every store must do with what namespaces own, beside executions: keys, files, triggers, settings. Subclass it and give it a `store` fixture."""

from __future__ import annotations

from orchestrator.model.trigger import TriggerState
from orchestrator.store.port import StateStore
from tests.contract.store_values import NOON, a_file, a_key, a_trigger, after, saved


class NamespaceContract:
    def test_keys_are_set_replaced_and_forgotten(self, store: StateStore) -> None:
        saved(store, keys=[a_key("b"), a_key("a", value=None, expires=after(1)), a_key("c", "other", value=[1, None], description="d")])
        assert store.key("company.team", "a") == a_key("a", value=None, expires=after(1))
        assert [(k.namespace, k.key) for k in store.keys(None)] == [("company.team", "a"), ("company.team", "b"), ("other", "c")]
        assert [k.key for k in store.keys("company.team")] == ["a", "b"]
        saved(store, keys=[a_key("a", value=5)], keys_gone=[("other", "c"), ("other", "none")])
        found = store.key("company.team", "a")
        assert found is not None
        assert found.value == 5
        assert store.key("other", "c") is None

    def test_files_are_listed_below_a_folder(self, store: StateStore) -> None:
        paths = ["/a", "/a/b.txt", "/a/c/d.txt", "/a.txt", "/ab", "/a_/x", "/ü"]
        saved(store, files=[a_file("/a", directory=True), *(a_file(p) for p in paths[1:]), a_file("/a/z", "e1", "execution"), a_file("/a/y", "other")])
        assert [f.path for f in store.files("namespace", "company.team")] == sorted(paths)
        assert [f.path for f in store.files("namespace", "company.team", "/a")] == ["/a/b.txt", "/a/c/d.txt"]
        assert [f.path for f in store.files("namespace", "company.team", "/a/")] == ["/a/b.txt", "/a/c/d.txt"]
        assert store.file("namespace", "company.team", "/a") == a_file("/a", directory=True)
        saved(store, files=[a_file("/ab", size=9)], files_gone=[("namespace", "company.team", "/a")])
        changed = store.file("namespace", "company.team", "/ab")
        assert changed is not None
        assert changed.size == 9
        assert store.file("namespace", "company.team", "/a") is None
        assert store.file("namespace", "company.team", "/a/b.txt") is not None

    def test_triggers_are_kept_by_name(self, store: StateStore) -> None:
        full = TriggerState(
            namespace="company.team",
            flow_id="hello",
            trigger_id="b",
            date=NOON,
            next_execution_date=after(5),
            disabled=True,
            backfill={"start": "x", "end": None},
        )
        saved(store, triggers=[full, a_trigger("a"), a_trigger("a", "g"), a_trigger("a", "g", "other")])
        assert store.triggers("company.team", "hello") == [a_trigger("a"), full]
        assert [(t.namespace, t.flow_id, t.trigger_id) for t in store.triggers()][-1] == ("other", "g", "a")
        assert len(store.triggers("company.team")) == 3
        saved(store, triggers=[a_trigger("a", disabled=True)], triggers_gone=[("company.team", "hello", "b")])
        assert store.triggers("company.team", "hello") == [a_trigger("a", disabled=True)]

    def test_settings_are_documents_by_name(self, store: StateStore) -> None:
        saved(store, settings={"group/a_b": {"x": [1, None]}, "group/axb": 2, "Group/c": 0, "none": None})
        assert store.setting("group/a_b") == {"x": [1, None]}
        assert store.setting("Group/c") == 0
        assert store.setting("none") is None
        assert store.settings("group/a_") == {"group/a_b": {"x": [1, None]}}
        assert list(store.settings("group/")) == ["group/a_b", "group/axb"]
        saved(store, settings={"group/a_b": None, "group/axb": "new"})
        assert store.settings("group/") == {"group/axb": "new"}
