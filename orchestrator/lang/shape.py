"""What a model class says of its properties: their written names, and where they hold tasks."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from orchestrator.lang.source import Path
from orchestrator.model.flow import TaskSpec
from orchestrator.model.values import Json
from orchestrator.sdk import Template

EACH = "*"  # in a place: every element of a list, or every value of a map
Place = tuple[str, ...]

# Where tasks stand in a type that is not installed: the usual names.
USUAL_PLACES: tuple[Place, ...] = (
    ("tasks", EACH),
    ("tasks", EACH, "task"),
    ("errors", EACH),
    ("finally", EACH),
    ("then", EACH),
    ("else", EACH),
    ("cases", EACH, EACH),
    ("defaults", EACH),
)


def names_of(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Every way a property may be written, the proper one first."""
    proper = field.serialization_alias or field.alias or name
    if isinstance(field.validation_alias, AliasChoices):
        others = [c for c in field.validation_alias.choices if isinstance(c, str)]
    else:
        others = [field.validation_alias] if isinstance(field.validation_alias, str) else []
    return tuple(dict.fromkeys([proper, *others]))


@cache
def properties(cls: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """The proper written name of every property of a class, and its field."""
    return {names_of(name, field)[0]: field for name, field in cls.model_fields.items()}


@cache
def accepted(cls: type[BaseModel]) -> frozenset[str]:
    """Every name a class reads, older ones and Python's own included."""
    return frozenset(n for name, field in cls.model_fields.items() for n in (name, *names_of(name, field)))


@cache
def synonyms(cls: type[BaseModel]) -> tuple[tuple[str, ...], ...]:
    """The sets of names that mean one property, where there is more than one."""
    found = (names_of(name, field) for name, field in cls.model_fields.items())
    return tuple(names for names in found if len(names) > 1)


@cache
def task_places(cls: type[BaseModel]) -> tuple[Place, ...]:
    """Where values of this class hold tasks, e.g. `tasks *`, `cases * *`, `tasks * task`."""
    return tuple((name, *place) for name, field in properties(cls).items() for place in _places(field.annotation, (cls,)))


def _places(annotation: Any, above: tuple[type, ...]) -> tuple[Place, ...]:
    if annotation is TaskSpec:
        return ((),)
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return tuple(place for kind in get_args(annotation) for place in _places(kind, above))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return tuple((EACH, *place) for place in _places(get_args(annotation)[1], above))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return tuple((EACH, *place) for place in _places(get_args(annotation)[0], above))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in above:
        return tuple((name, *place) for name, field in properties(annotation).items() for place in _places(field.annotation, (*above, annotation)))
    args = get_args(annotation)  # Annotated[...] and the like
    return _places(args[0], above) if args and hasattr(annotation, "__metadata__") else ()


def at_places(value: Json, places: Sequence[Place]) -> Iterator[tuple[Path, Json]]:
    """Every value that stands at one of the places, with its path; what is not shaped so is passed over."""
    for place in places:
        yield from _walk(value, place, ())


def _walk(value: Json, place: Place, path: Path) -> Iterator[tuple[Path, Json]]:
    if not place:
        yield path, value
    elif place[0] != EACH:
        if isinstance(value, Mapping) and place[0] in value:
            yield from _walk(value[place[0]], place[1:], (*path, place[0]))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, place[1:], (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _walk(item, place[1:], (*path, at))


def mentions(annotation: Any, kind: type) -> bool:
    """Whether a type stands anywhere within an annotation."""
    return annotation is kind or any(mentions(part, kind) for part in get_args(annotation))


@cache
def is_script(cls: type[BaseModel]) -> bool:
    """Whether a task says what to run, and a task runner says where."""
    return "task_runner" in cls.model_fields


def is_dynamic(field: FieldInfo | None) -> bool:
    """Whether a template may stand for the property."""
    return field is not None and mentions(field.annotation, Template)


def loose_models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models within an annotation that would ignore a property they do not know (tasks aside)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return () if annotation is TaskSpec or annotation.model_config.get("extra") in ("forbid", "allow") else (annotation,)
    return tuple(model for part in get_args(annotation) for model in loose_models(part))
