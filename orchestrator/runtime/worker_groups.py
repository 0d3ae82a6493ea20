"""The worker groups that are declared, and what namespaces and the server say of places. Kept in the store, held in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from orchestrator import registry
from orchestrator.engine.wishes import Asked, Rules
from orchestrator.errors import Conflict, NotFound
from orchestrator.lang.defaults import matches
from orchestrator.model.values import Json
from orchestrator.model.worker_group import WorkerGroup
from orchestrator.runtime.turn import Turn
from orchestrator.settings import Settings
from orchestrator.store.port import Reader

GROUP, NAMESPACE = "worker-group:", "namespace:"  # how the stored documents are named


@dataclass(frozen=True)
class NamespaceDefaults:
    """What a namespace says: `asked` of places, `plugin_defaults` for the plugins of its flows. `raw` is the document."""

    asked: Asked
    plugin_defaults: Sequence[Mapping[str, Json]]
    raw: Mapping[str, Json]

    @classmethod
    def of(cls, raw: Mapping[str, Json]) -> NamespaceDefaults:
        return cls(Asked.of(raw), tuple(raw.get("pluginDefaults") or ()), raw)


class WorkerGroups:
    """Reads are of what was saved last; a change is part of a turn and holds once that is saved."""

    def __init__(self, store: Reader, settings: Settings) -> None:
        self._settings = settings
        self._of_file = {group.key: group.model_copy(update={"source": "file"}) for group in settings.worker_groups}
        stored = {name.removeprefix(GROUP): WorkerGroup.model_validate(raw) for name, raw in store.settings(GROUP).items()}
        self._declared = {**stored, **self._of_file}
        self._namespaces_of_file = {name: NamespaceDefaults.of(raw) for name, raw in settings.namespaces.items()}
        in_store = {name.removeprefix(NAMESPACE): NamespaceDefaults.of(raw) for name, raw in store.settings(NAMESPACE).items()}
        self._namespaces = {**self._namespaces_of_file, **in_store}
        self._rules = self._made_rules()
        self.version = 0  # goes up with every change

    # --- reading

    @property
    def declared(self) -> Mapping[str, WorkerGroup]:
        """By key; "" where the default group has a declaration."""
        return self._declared

    @property
    def rules(self) -> Rules:
        """What is said of places outside flows."""
        return self._rules

    def group(self, key: str) -> WorkerGroup:
        """Its declaration, or the defaults of one that has none."""
        return self._declared.get(key) or WorkerGroup.model_construct(key=key)

    def knows(self, key: str) -> bool:
        """Whether work may name the group: any well-formed key while none is declared."""
        return not key or key in self._declared or not any(self._declared)

    def nearest(self, key: str) -> str | None:
        return next(iter(get_close_matches(key, [one for one in self._declared if one], 1)), None)

    def unknown(self, key: str) -> NotFound:
        """The refusal of a group that is not declared, with the nearest that is."""
        near = self.nearest(key)
        return NotFound(f"worker group '{key}' is not declared" + (f"; did you mean '{near}'?" if near else ""))

    def namespaces_naming(self, key: str) -> Sequence[str]:
        """The namespaces whose defaults send work to a group."""
        return sorted(name for name, one in self._namespaces.items() if key in keys_in(one.asked))

    def namespace(self, name: str) -> Mapping[str, Json]:
        """The document of a namespace's own defaults; empty when it sets none."""
        found = self._namespaces.get(name)
        return found.raw if found is not None else {}

    # --- changing

    def declare(self, turn: Turn, group: WorkerGroup) -> WorkerGroup:
        """Declare a group, or change its declaration. Raises Conflict for one of the server's file."""
        self._refuse_of_file(group.key)
        before = self._declared.get(group.key)
        group = group.model_copy(update={"created": before.created if before and before.created else turn.now, "updated": turn.now})
        turn.settings[GROUP + group.key] = group.model_dump(mode="json", by_alias=True, exclude_none=True)
        turn.after.append(lambda: self._take(group.key, group))
        return group

    def forget(self, turn: Turn, key: str) -> None:
        """Undeclare a group. Raises NotFound, Conflict for one of the server's file."""
        self._refuse_of_file(key)
        if key not in self._declared:
            raise self.unknown(key)
        turn.settings[GROUP + key] = None
        turn.after.append(lambda: self._take(key, None))

    def _refuse_of_file(self, key: str) -> None:
        if key in self._of_file:
            raise Conflict(f"worker group '{key}' is declared in the server's configuration file: change it there")

    def _take(self, key: str, group: WorkerGroup | None) -> None:
        if group is None:
            self._declared.pop(key, None)
        else:
            self._declared[key] = group
        self.version += 1

    def set_namespace(self, turn: Turn, name: str, raw: Mapping[str, Json]) -> None:
        """Replace what a namespace says; an empty document leaves what the server's file says. Raises ValueError when it cannot be read."""
        made = NamespaceDefaults.of(raw)
        turn.settings[NAMESPACE + name] = dict(raw) or None
        turn.after.append(lambda: self._take_namespace(name, made))

    def _take_namespace(self, name: str, made: NamespaceDefaults) -> None:
        found = made if made.raw else self._namespaces_of_file.get(name)
        if found is not None:
            self._namespaces[name] = found
        else:
            self._namespaces.pop(name, None)
        self._rules = self._made_rules()
        self.version += 1

    def _made_rules(self) -> Rules:
        server = self._settings.worker_group
        return Rules(
            namespaces={name: one.asked for name, one in self._namespaces.items() if one.asked.anything},
            server=Asked.of({"workerGroup": server}) if server else None,
            namespace_defaults={name: one.plugin_defaults for name, one in self._namespaces.items() if one.plugin_defaults},
            server_defaults=self._settings.plugin_defaults,
            matches=lambda wanted, name: matches(wanted, name, registry.load),
        )


def keys_in(wanted: Asked) -> Sequence[str]:
    """The keys of groups that a level names, as written; blank ones left out."""
    named = [wanted.worker_group.key or ""] if wanted.worker_group is not None else []
    named += [step.worker_group for step in wanted.placement if isinstance(step.worker_group, str)]
    return [key.strip() for key in named if key.strip()]
