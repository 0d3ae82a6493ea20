"""What a flow says of where its work goes, checked wherever it may say it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.lang import needs
from orchestrator.lang.complaints import unknown_property, value_at
from orchestrator.lang.findings import Findings
from orchestrator.lang.group_names import GroupNames
from orchestrator.lang.holders import PLACE_PROPERTIES, Holder
from orchestrator.lang.source import Path
from orchestrator.model.flow import PLACING
from orchestrator.model.surroundings import KnownGroups
from orchestrator.model.values import Json


class Places:
    """Collects the holders of one document as they are met, and checks them once all are known.

    `written` is the document before plugin defaults were merged in: only of what stands there its author is told.
    """

    def __init__(self, findings: Findings, written: Json, groups: KnownGroups, namespace: str, resolve: Callable[[str, str], type[Any]]) -> None:
        self.findings, self.written, self.resolve = findings, written, resolve
        self.names = GroupNames(findings, groups, namespace)
        self.holders: list[Holder] = []

    def meet(self, holder: Holder) -> None:
        self.holders.append(holder)

    def wrote(self, path: Path) -> bool:
        """Whether a property was written there, rather than given by a plugin default."""
        holder = value_at(self.written, path[:-1])
        return isinstance(holder, Mapping) and path[-1] in holder

    def check(self, check_runner: Callable[[Json, Path], None]) -> None:
        """Note every problem of every holder. `check_runner` looks at the runner of a step as at any other."""
        for holder in self.holders:
            given = {name: holder.raw[name] for name in PLACE_PROPERTIES if holder.raw.get(name) is not None and self.wrote((*holder.path, name))}
            if given:
                self._one_of(holder, given)
                self._groups(holder, given)
                self._steps(holder, given.get("placement"), check_runner)
                self._needs(holder, given)
                self._effect(holder, given)
        self._stranded()

    def _one_of(self, holder: Holder, given: Mapping[str, Json]) -> None:
        counts, *rest = [name for name in PLACING if given.get(name) not in (None, [], {})] or [""]
        for name in rest:
            said = f"`{counts}` and `{name}` both say where work goes, and only `{counts}` would count"
            self.findings.add("conflicting-properties", said, (*holder.path, name), key=True, help="keep one of them")

    def _groups(self, holder: Holder, given: Mapping[str, Json]) -> None:
        group, selector = given.get("workerGroup"), given.get("workerSelector")
        if isinstance(group, Mapping):
            self.names.key(group.get("key"), (*holder.path, "workerGroup", "key"))
        if isinstance(selector, Mapping):
            self.names.tags(selector, (*holder.path, "workerSelector"))

    # --- chains

    def _steps(self, holder: Holder, chain: Json, check_runner: Callable[[Json, Path], None]) -> None:
        for at, step in enumerate(chain if isinstance(chain, list) else ()):
            path = (*holder.path, "placement", at)
            if not isinstance(step, Mapping):
                continue
            self._step_group(step.get("workerGroup"), (*path, "workerGroup"))
            needs.duration(self.findings, step.get("wait"), (*path, "wait"))
            if step.get("taskRunner") is not None:
                check_runner(step["taskRunner"], (*path, "taskRunner"))
                self._script(holder, (*path, "taskRunner"))

    def _step_group(self, group: Json, path: Path) -> None:
        if not isinstance(group, Mapping):
            self.names.key(group, path)
            return
        known = ("tags", "match") if "tags" in group else ("key",)
        for name in group:
            if name not in known:
                found = unknown_property((*path, name), None, known)
                advice = "the next step of a chain is its fallback" if name == "fallback" else found.help
                self.findings.add(found.code, found.message, found.path, help=advice, key=True)
        if group.get("tags"):
            self.names.tags(group, path)
        elif "tags" not in group:
            self.names.key(group.get("key"), (*path, "key"))

    def _script(self, holder: Holder, path: Path) -> None:
        if holder.goes_to_workers_only or holder.is_evaluated_by_server:
            said = f"a `taskRunner` step is for script tasks only, and {holder.type_name} is none"
            self.findings.add("script-tasks-only", said, path, key=True, help="name a `workerGroup` in this step")

    def _stranded(self) -> None:
        """Warns of chains of task runners alone around tasks that no runner can take."""
        saying = {one.path: one for one in self.holders if one.kind != "default" and any(one.raw.get(name) for name in PLACING)}
        left: dict[Path, list[str]] = {}
        for holder in self.holders:
            if holder.kind in ("task", "trigger") and holder.goes_to_workers_only and holder.path not in saying:
                nearest = next((cut for cut in range(len(holder.path) - 1, -1, -1) if holder.path[:cut] in saying), None)
                if nearest is not None and _runners_alone(saying[holder.path[:nearest]].raw.get("placement")):
                    left.setdefault(holder.path[:nearest], []).append(f"`{holder.name}`")
        for path, names in left.items():
            said = f"no step of this chain can take {', '.join(names)}: only script tasks go to task runners, others to the default worker group"
            self.findings.add("script-tasks-only", said, (*path, "placement"), key=True, help="add a `workerGroup` step", severity="warning")

    # --- needs

    def _needs(self, holder: Holder, given: Mapping[str, Json]) -> None:
        needs.duration(self.findings, given.get("queueTimeout"), (*holder.path, "queueTimeout"))
        if "resources" not in given:
            return
        path = (*holder.path, "resources")
        needs.resources(self.findings, given["resources"], path)
        if holder.leads and holder.kind == "default":
            self._no_effect(holder, ["resources"], f"has no effect on {holder.type_name}, which only leads other tasks", "give it to the types of those tasks")
        elif holder.leads:
            said = f"`{holder.name}` only leads other tasks and needs no resources itself"
            self.findings.add("invalid-value", said, path, key=True, help="give them to the tasks within it")
        runner = needs.ephemeral_runner(holder.raw, self.resolve)
        if runner is not None:
            both = self.wrote((*holder.path, "taskRunner")) or self.wrote((*holder.path, "runner")) or self.wrote((*holder.path, "docker"))
            said = f"`resources` are kept for a process of a worker; what {runner.rsplit('.', 1)[-1]} runs takes its own"
            advice = "give the runner its own limits under `taskRunner`, or leave one of the two out"
            self.findings.add("conflicting-properties", said, path, key=True, help=advice, severity="error" if both else "warning")

    # --- without effect

    def _effect(self, holder: Holder, given: Mapping[str, Json]) -> None:
        places = [name for name in PLACING if name in given]
        if holder.is_evaluated_by_server:
            self._no_effect(holder, places, f"has no effect on a {holder.type_name} trigger: the server evaluates it", "say it on the flow or its tasks")
        elif holder.leads and holder.kind == "default" and not holder.forced:
            self._no_effect(holder, places, f"has no effect on {holder.type_name}, which only leads other tasks", "give it to the types of those tasks")
        if holder.leads and "queueTimeout" in given:
            self._no_effect(holder, ["queueTimeout"], "has no effect on a task that only leads others: it waits for no place", "give it to those tasks")

    def _no_effect(self, holder: Holder, names: list[str], why: str, help: str) -> None:
        for name in names:
            self.findings.add("no-effect", f"`{name}` {why}", (*holder.path, name), key=True, help=help, severity="warning")


def _runners_alone(chain: Json) -> bool:
    return isinstance(chain, list) and bool(chain) and all(isinstance(step, Mapping) and step.get("taskRunner") for step in chain)
