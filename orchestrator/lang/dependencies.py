"""Which flows start which: by their tasks, and by triggers that hear of others' executions. Read from their texts, nothing rendered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator import registry
from orchestrator.errors import NotFound
from orchestrator.model.flow import Flow
from orchestrator.model.values import Json
from orchestrator.sdk import CallProperties, is_template

Key = tuple[str, str]  # namespace, id
_HEARS = "io.kestra.plugin.core.trigger.Flow"


class Relation(StrEnum):
    FLOW_TASK = "FLOW_TASK"
    FLOW_TRIGGER = "FLOW_TRIGGER"


@dataclass(frozen=True)
class Edge:
    """An execution of `source` starts one of `target`."""

    source: Key
    target: Key
    relation: Relation


def edges_of(flows: Sequence[Flow]) -> list[Edge]:
    """Every edge between two of these flows, each once. What is named by a template is not known before a run."""
    known = {flow.key for flow in flows}
    found: dict[Edge, None] = {}
    for flow in flows:
        for called in called_by(flow):
            if called in known:
                found[Edge(flow.key, called, Relation.FLOW_TASK)] = None
        for hears in _listeners(flow):
            for other in flows:
                if other.key != flow.key and hears(other.key):
                    found[Edge(other.key, flow.key, Relation.FLOW_TRIGGER)] = None
    return list(found)


def around(edges: Sequence[Edge], keys: Iterable[Key], *, targets_only: bool = False, all_of_them: bool = False) -> list[Edge]:
    """The edges from and to some flows; with `targets_only` those to them, with `all_of_them` those of the flows found too, and so on."""
    reached, found, news = set(keys), dict[Edge, None](), True
    while news:
        more = [edge for edge in edges if edge not in found and (edge.target in reached or (not targets_only and edge.source in reached))]
        found.update(dict.fromkeys(more))
        reached |= {key for edge in more for key in (edge.source, edge.target)}
        news = all_of_them and bool(more)
    return list(found)


def called_by(flow: Flow) -> list[Key]:
    """The flows that a flow's tasks start, each once."""
    specs = (*flow.tasks, *flow.errors, *flow.finally_, *flow.after_execution)
    return list(dict.fromkeys(key for spec in specs for key in _called(spec.raw)))


def _called(raw: Json) -> Iterator[Key]:
    if isinstance(raw, Mapping):
        if isinstance(raw.get("type"), str) and _starts_flows(raw["type"]):
            key = (str(raw.get("namespace")), str(raw.get("flowId")))
            if not any(map(is_template, key)):
                yield key
        below: Iterable[Json] = raw.values()
    else:
        below = raw if isinstance(raw, Sequence) and not isinstance(raw, str) else ()
    for part in below:
        yield from _called(part)


def _starts_flows(name: str) -> bool:
    try:
        return issubclass(registry.load("task", name), CallProperties)
    except (NotFound, ModuleNotFoundError):
        return False


# --- triggers

Hears = Callable[[Key], bool]


def _listeners(flow: Flow) -> Iterator[Hears]:
    """For each trigger that hears of executions: whether it may hear of those of a flow."""
    for trigger in flow.triggers:
        name = registry.full_name("trigger", trigger.type) or trigger.type
        if _HEARS in (name, registry.replaced_by("trigger", name)):
            yield _hears(trigger.raw)


def _hears(raw: Mapping[str, Json]) -> Hears:
    conditions = [_condition(one) for one in raw.get("conditions") or ()]
    gathered = raw.get("preconditions") or {}
    upstream = [_upstream(one) for one in (*(gathered.get("flows") or ()), *(raw.get("dependsOn") or ()))]

    def hears(key: Key) -> bool:
        return all(holds(key) for holds in conditions) and (not upstream or any(holds(key) for holds in upstream))

    return hears


def _upstream(raw: Mapping[str, Json]) -> Hears:
    namespace, flow_id = raw.get("namespace"), raw.get("flowId")
    return lambda key: namespace in (None, key[0]) and flow_id in (None, key[1])


def _condition(raw: Mapping[str, Json]) -> Hears:
    """What a condition says of the flow alone; one that looks at something else may hold."""
    namespace, prefix = str(raw.get("namespace")), raw.get("comparison", "PREFIX" if raw.get("prefix") else "EQUALS")
    inner = raw.get("conditions") or ()
    parts = [_condition(one) for one in (inner.values() if isinstance(inner, Mapping) else inner)]
    match str(raw.get("type")).rsplit(".", 1)[-1].removesuffix("Condition"):
        case "ExecutionFlow":
            return _upstream(raw)
        case "ExecutionNamespace" if prefix == "PREFIX":
            return lambda key: key[0].startswith(namespace)
        case "ExecutionNamespace" if prefix == "SUFFIX":
            return lambda key: key[0].endswith(namespace)
        case "ExecutionNamespace":
            return lambda key: key[0] == namespace
        case "Or" | "Multiple":
            return lambda key: any(holds(key) for holds in parts)
    return lambda key: True
