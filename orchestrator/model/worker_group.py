"""A declared worker group: who may use it, how large it may grow, what it keeps free for whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.model.values import Duration, Frozen, Instant, labels_of

GROUP_KEY_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9_-]*$"
GROUP_KEY = re.compile(GROUP_KEY_PATTERN.removeprefix("^").removesuffix("$"))
MOST_TAGS = 20  # of a selector


def is_group_key(key: str) -> bool:
    """Whether a text is well-formed as a group's key; the default group has none."""
    return GROUP_KEY.fullmatch(key) is not None


class ReservedMode(StrEnum):
    """STRICT keeps the slots free; ELASTIC lends them until they are wanted."""

    STRICT = "STRICT"
    ELASTIC = "ELASTIC"


class Reserved(Frozen):
    """A share of a group's slots for the namespaces that match one of these patterns (`prod`, `prod.*`)."""

    namespaces: tuple[str, ...] = Field(min_length=1)
    percent: int = Field(ge=1, le=100)
    mode: ReservedMode = ReservedMode.STRICT

    def is_for(self, namespace: str) -> bool:
        return matches_any(self.namespaces, namespace)


class WorkerGroup(Frozen):
    """A group as declared. A group without declaration is known while none is declared, with these defaults.

    `min` and `max` count workers; without `max` nothing is asked of an autoscaler. `slots` is what one worker of the
    group takes at once, for those that an autoscaler starts. `tags` are what a `workerSelector` finds it by, beside its
    key and its labels.
    """

    key: str
    name: str | None = None  # what clients with names of their own call it
    description: str | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    min: int = Field(0, ge=0)
    max: int | None = Field(None, ge=0)
    slots: int | None = Field(None, ge=1)
    idle_timeout: Duration = Field(timedelta(minutes=5), alias="idleTimeout")
    reserved: tuple[Reserved, ...] = ()
    allowed_namespaces: tuple[str, ...] = Field((), alias="allowedNamespaces")  # patterns; empty: every namespace
    source: Literal["api", "file", "queue"] = "api"  # one of the server's file changes only there; `queue`: known by its queue's tags so far
    created: Instant | None = None
    updated: Instant | None = None

    @field_validator("key")
    @classmethod
    def _well_formed(cls, key: str) -> str:
        if key and not is_group_key(key):
            raise ValueError(f'must match "{GROUP_KEY_PATTERN}"')
        return key

    @field_validator("labels", mode="before")
    @classmethod
    def _either_form(cls, value: object) -> object:
        return {label.key: label.value for label in labels_of(value)}

    @field_validator("reserved", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, Mapping) else (value or ())

    @field_validator("tags", "allowed_namespaces", mode="before")
    @classmethod
    def _null_is_empty(cls, value: object) -> object:
        return value or ()

    @model_validator(mode="after")
    def _bounds(self) -> WorkerGroup:
        if self.max is not None and self.min > self.max:
            raise ValueError(f"`min` ({self.min}) is above `max` ({self.max})")
        if sum(one.percent for one in self.reserved) > 100:
            raise ValueError("`reserved` shares add up to more than 100 percent")
        return self

    def allows(self, namespace: str) -> bool:
        return not self.allowed_namespaces or matches_any(self.allowed_namespaces, namespace)


def tags_of(key: str, declared: WorkerGroup | None, worker_labels: Iterable[Mapping[str, str]] = ()) -> frozenset[str]:
    """All that a selector may find a group by: its key, its tags, and the labels of its declaration and of its live workers,
    each as `value`, `key=value` and `key:value`."""
    labels = [*(declared.labels.items() if declared is not None else ()), *(item for some in worker_labels for item in some.items())]
    forms = (form for name, value in labels for form in (value, f"{name}={value}", f"{name}:{value}"))
    return frozenset(filter(None, {key, *(declared.tags if declared is not None else ()), *forms}))


def matches_any(patterns: Iterable[str], namespace: str) -> bool:
    """Whether a namespace is one of the patterns: itself, `prod.*` for it and all below it, or any other glob."""
    return any(_matches(pattern, namespace) for pattern in patterns)


def _matches(pattern: str, namespace: str) -> bool:
    return fnmatchcase(namespace, pattern) or (pattern.endswith(".*") and namespace == pattern[:-2])
