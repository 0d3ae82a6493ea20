"""The key-value store of a namespace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import Field

from orchestrator.sdk import Conflict, Duration, Dynamic, Json, NotFound, RunContext, Task, TaskFailed, Template, Text, parse_duration, text_of
from orchestrator_plugins.core.dates import instant_text


class KvType(StrEnum):
    """How a text value is read before it is kept."""

    STRING = "STRING"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    DATETIME = "DATETIME"
    DATE = "DATE"
    DURATION = "DURATION"
    JSON = "JSON"


class Set(Task):
    """Keep a value under a key. A lone template keeps the type of what it gives."""

    key: Dynamic[Text] = Field(description="The key.", examples=["my_key"])
    value: Dynamic[Any] = Field(description="The value: text, or a structure that is kept as such.", examples=["{{ outputs.count.value }}"])
    namespace: Dynamic[Text] | None = Field(None, description="Whose store; without it the flow's own namespace.")
    kv_description: Dynamic[Text] | None = Field(None, description="What the key is for.")
    overwrite: Dynamic[bool] = Field(True, description="Whether a value that is there may be replaced; otherwise the task fails.")
    ttl: Dynamic[Duration] | None = Field(None, description="How long the value is kept; without it for ever.", examples=["P30D"])
    kv_type: Dynamic[KvType] | None = Field(None, description="How a text value is read.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        key, value = ctx.render(self.key), self._value(ctx)
        about: Any = {"description": ctx.render(self.kv_description), "overwrite": ctx.render(self.overwrite)}
        try:
            ctx.keys.put(_namespace(ctx, self.namespace), key, value, ctx.render(self.ttl), **about)
        except Conflict as err:
            raise TaskFailed(f"Cannot set value for key '{key}'. Key already exists and `overwrite` is set to `false`.") from err
        return {}

    def _value(self, ctx: RunContext) -> Json:
        value = ctx.render_typed(self.value.source) if isinstance(self.value, Template) else ctx.render(self.value)
        kind = ctx.render(self.kv_type)
        if kind is None:
            return value
        try:
            return _typed(value, KvType(kind))
        except ValueError as err:
            raise TaskFailed(f"the value of key '{ctx.render(self.key)}' is no {kind}: {err}") from err


def _typed(value: Json, kind: KvType) -> Json:
    """A value as a type says. A value that is no text is taken as it is, except where text is asked for. Raises ValueError."""
    if kind is KvType.STRING:
        return text_of(value)
    if not isinstance(value, str):
        return value
    match kind:
        case KvType.NUMBER:
            return _number(value)
        case KvType.BOOLEAN:
            return value.strip().lower() == "true"
        case KvType.DATETIME | KvType.DATE:
            return instant_text(value.strip(), whole_day=kind is KvType.DATE)
        case KvType.DURATION:
            parse_duration(value)
            return value.strip()
        case _:
            return json.loads(value)


def _number(text: str) -> Json:
    number = json.loads(text)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(f"`{text}` is not a number")
    return number


class Get(Task):
    """Give the value of a key back as the output `value`."""

    key: Dynamic[Text] = Field(description="The key.")
    namespace: Dynamic[Text] | None = Field(None, description="Whose store; without it the flow's own namespace.")
    error_on_missing: Dynamic[bool] = Field(False, description="Whether the task fails when there is no value.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        key, namespace = ctx.render(self.key), _namespace(ctx, self.namespace)
        try:
            return {"value": ctx.keys.get(namespace, key)}
        except NotFound as err:
            if ctx.render(self.error_on_missing):
                raise TaskFailed(_missing(key, namespace)) from err
        return {"value": None}


class Delete(Task):
    """Remove a key; the output `deleted` says whether it was there."""

    key: Dynamic[Text] = Field(description="The key.")
    namespace: Dynamic[Text] | None = Field(None, description="Whose store; without it the flow's own namespace.")
    error_on_missing: Dynamic[bool] = Field(False, description="Whether the task fails when there is no such key.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        key, namespace = ctx.render(self.key), _namespace(ctx, self.namespace)
        deleted = ctx.keys.delete(namespace, key)
        if not deleted and ctx.render(self.error_on_missing):
            raise TaskFailed(_missing(key, namespace))
        return {"deleted": deleted}


class GetKeys(Task):
    """Give the keys of a namespace back as the output `keys`, all of them or those that begin with a prefix."""

    prefix: Dynamic[Text] | None = Field(None, description="How the keys begin.")
    namespace: Dynamic[Text] | None = Field(None, description="Whose store; without it the flow's own namespace.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        prefix = ctx.render(self.prefix) or ""
        return {"keys": [key for key in ctx.keys.names(_namespace(ctx, self.namespace)) if key.startswith(prefix)]}


def _namespace(ctx: RunContext, named: Dynamic[Text] | None) -> str:
    return ctx.render(named) or ctx.info.namespace


def _missing(key: str, namespace: str) -> str:
    return f"No value found for key '{key}' in namespace '{namespace}' and `errorOnMissing` is set to true"
