"""Our own additions to Kestra's language, told with what to write instead. `docs/additions.md` lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator import registry
from orchestrator.lang.findings import Findings
from orchestrator.lang.holders import Holder
from orchestrator.lang.places import Places
from orchestrator.lang.source import Path
from orchestrator.model.values import Json

ADDITIONS = ("placement", "resources", "queueTimeout")


def lint(findings: Findings, places: Places) -> None:
    """Note every addition that was written, as an error."""
    for holder in places.holders:
        for name in ADDITIONS:
            if holder.raw.get(name) is not None and places.wrote((*holder.path, name)):
                findings.add("not-kestra", f"Kestra knows no `{name}`", (*holder.path, name), key=True, help=_instead(name, holder.raw[name]))
        for kind, short, path in _types(holder):
            full = registry.full_name(kind, short)
            if full is not None and full != short and places.wrote(path):
                findings.add("not-kestra", f"Kestra knows no short form of a type: {short}", path, help=f"write `{full}`")


def _types(holder: Holder) -> Iterator[tuple[str, str, Path]]:
    """Every type name that a task or trigger holds but for those of tasks within it: (kind, name, place)."""
    if holder.kind in ("task", "trigger"):
        yield holder.kind, holder.of_type, (*holder.path, "type")
    runner, conditions = holder.raw.get("taskRunner"), holder.raw.get("conditions")
    if isinstance(runner, Mapping):
        yield "task_runner", str(runner.get("type")), (*holder.path, "taskRunner", "type")
    for at, condition in enumerate(conditions if isinstance(conditions, list) else ()):
        if isinstance(condition, Mapping):
            yield "condition", str(condition.get("type")), (*holder.path, "conditions", at, "type")


def _instead(name: str, value: Json) -> str:
    if name == "resources":
        return "name a `workerGroup` whose machines have them, or give a `taskRunner` limits of its own"
    if name == "queueTimeout":
        return "leave it out; `fallback: FAIL` ends a run that no worker can take, and `timeout` bounds one that has begun"
    first = value[0] if isinstance(value, list) and value and isinstance(value[0], Mapping) else {}
    group = first.get("workerGroup")
    if first.get("taskRunner") is not None:
        return "name the runner in the `taskRunner` of each script task"
    if isinstance(group, Mapping) and group.get("tags"):
        return f"write `workerSelector: {{tags: [{', '.join(map(str, group['tags']))}]}}` and choose its `fallback`"
    key = group.get("key") if isinstance(group, Mapping) else group
    return f"write `workerGroup: {{key: {key}}}` and choose its `fallback`" if key else "leave it out: the default group needs no word"
