"""What a flow is held against beside its own text: the worker groups there are, and what others give to its plugins."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

from pydantic import Field

from orchestrator.model.values import Frozen, Json, up
from orchestrator.model.worker_group import WorkerGroup, tags_of


class KnownGroups(Frozen):
    """The worker groups that work may name. While none is declared every well-formed key is known.

    `declared` is by key, "" where the default group has a declaration; `worker_labels` are those of live workers by group.
    """

    declared: Mapping[str, WorkerGroup] = Field(default_factory=dict)
    worker_labels: Mapping[str, tuple[Mapping[str, str], ...]] = Field(default_factory=dict, alias="workerLabels")

    @property
    def are_declared(self) -> bool:
        """Whether any group but the default one is."""
        return any(self.declared)

    def knows(self, key: str) -> bool:
        """Whether work may name the group."""
        return not key or key in self.declared or not self.are_declared

    def nearest(self, key: str) -> str | None:
        """The declared key most like another."""
        lower = {one.lower(): one for one in self.declared if one}
        return next((lower[one] for one in get_close_matches(key.lower(), lower, 1)), None)

    def allowed_in(self, key: str) -> tuple[str, ...]:
        """The namespaces that a group is kept for, as patterns; none: for all."""
        return self.declared[key].allowed_namespaces if key in self.declared else ()

    def allows(self, key: str, namespace: str) -> bool:
        """Whether work of a namespace may go to the group."""
        return key not in self.declared or self.declared[key].allows(namespace)

    def tags(self) -> Mapping[str, frozenset[str]]:
        """All that a selector may find each group by."""
        keys = {*self.declared, *self.worker_labels}
        return {key: tags_of(key, self.declared.get(key), self.worker_labels.get(key, ())) for key in sorted(keys)}

    def matching(self, tags: frozenset[str], match: Literal["ALL", "ANY"]) -> tuple[str, ...]:
        """The keys of the groups that a selector means, sorted."""
        return tuple(key for key, has in self.tags().items() if (tags <= has if match == "ALL" else tags & has))


class Surroundings(Frozen):
    """The groups, and the plugin defaults of namespaces (by name) and of the server."""

    groups: KnownGroups = KnownGroups()
    namespace_defaults: Mapping[str, tuple[Mapping[str, Json], ...]] = Field(default_factory=dict, alias="namespaceDefaults")
    server_defaults: tuple[Mapping[str, Json], ...] = Field((), alias="serverDefaults")

    def defaults_in(self, namespace: str) -> tuple[Mapping[str, Json], ...]:
        """The plugin defaults for flows of a namespace: its own, those of the namespaces above it, the server's."""
        of_namespaces = (entry for name in up(namespace) for entry in self.namespace_defaults.get(name, ()))
        return (*of_namespaces, *self.server_defaults)


NOTHING_KNOWN = Surroundings()
