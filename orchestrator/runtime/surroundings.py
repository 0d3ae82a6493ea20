"""What flows are held against when they are saved or looked at: the groups and defaults of this moment, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.model.surroundings import KnownGroups, Surroundings
from orchestrator.model.worker import WorkerInfo
from orchestrator.runtime.worker_groups import WorkerGroups


def surroundings(groups: WorkerGroups, workers: Iterable[WorkerInfo]) -> Surroundings:
    """What is declared, and what the live workers are labelled with."""
    labels: dict[str, tuple[Mapping[str, str], ...]] = {}
    for worker in workers:
        labels[worker.group] = (*labels.get(worker.group, ()), worker.labels)
    rules = groups.rules
    return Surroundings(
        groups=KnownGroups(declared=dict(groups.declared), worker_labels=labels),
        namespace_defaults={name: tuple(entries) for name, entries in rules.namespace_defaults.items()},
        server_defaults=tuple(rules.server_defaults),
    )
