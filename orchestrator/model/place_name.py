"""The names of the actors where work runs. They tell where a place is, also to an executor that has never seen it."""

from __future__ import annotations

from dataclasses import dataclass

WORKER, SUPERVISOR, PROCESS, BACKEND = "worker", "supervisor", "process", "backend"
_KINDS = (WORKER, SUPERVISOR, PROCESS, BACKEND)
_DEFAULT = "default"


@dataclass(frozen=True)
class PlaceName:
    """`kind:label:node:made[:head]`. `label` is a worker's group, a process's run, or which back end a supervisor of its own
    is for; `node` the first digits of its Ray node;
    `made` tells one from the next on the same node; `on_head` that it stood beside the executor."""

    kind: str
    label: str
    node: str
    made: str
    on_head: bool = False

    def __str__(self) -> str:
        return ":".join((self.kind, self.label_for(self.label), self.node, self.made, *(("head",) if self.on_head else ())))

    @staticmethod
    def label_for(group: str) -> str:
        """How a group stands in names."""
        return group or _DEFAULT

    def is_on_machine_of(self, name: str) -> bool:
        """Whether another place stands on the same node, or both beside an executor, of whatever session."""
        other = PlaceName.parse(name)
        return other is not None and (other.node == self.node or (other.on_head and self.on_head))

    @classmethod
    def parse(cls, name: str) -> PlaceName | None:
        """None when it is no place of ours."""
        parts = name.split(":")
        if len(parts) < 4 or parts[0] not in _KINDS:
            return None
        return cls(parts[0], parts[1], parts[2], parts[3], parts[-1] == "head" and len(parts) > 4)

    @classmethod
    def label_of(cls, name: str) -> str | None:
        """The label in a name; None when it is no place of ours."""
        place = cls.parse(name)
        return place.label if place is not None else None


def node_prefix(node_id: str) -> str:
    """What stands for a node in names."""
    return node_id[:8]
