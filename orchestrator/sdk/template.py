"""Properties that a template may stand for: `Dynamic[T]` is a `T`, or a Template that becomes one when rendered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias, TypeVar, Union, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


class Template:
    """Text with `{{`, `{%` or `{#` in it, and how to read its rendered form as the property's own type.

    `parse` raises pydantic's ValidationError when the rendered text does not fit the type.
    """

    __slots__ = ("parse", "source")

    def __init__(self, source: str, parse: Callable[[Any], Any] = lambda value: value) -> None:
        self.source = source
        self.parse = parse

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls, serialization=core_schema.plain_serializer_function_ser_schema(lambda t: t.source))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": r"\{[{%#]"}


def is_template(value: object) -> bool:
    """Whether a value is text that must be rendered before it is read."""
    return isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value)


class _Rendered:
    """The pydantic annotation behind Dynamic: text with a template in it is kept for later, all else is read now."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # One schema, not a union with Template: so that one mistake gives one error.
        kinds = tuple(kind for kind in get_args(source) if kind is not Template)
        inner = handler.generate_schema(Union[kinds])  # noqa: UP007 - built at run time

        def keep(value: Any, read: Callable[[Any], Any]) -> Any:
            if isinstance(value, Template):
                return value
            return Template(value, read) if is_template(value) else read(value)

        written = core_schema.plain_serializer_function_ser_schema(lambda value: value.source if isinstance(value, Template) else value)
        return core_schema.no_info_wrap_validator_function(keep, inner, serialization=written)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        inner = handler(schema)
        if inner.get("type") == "string" and set(inner) <= {"type", "title", "description", "examples"}:
            return inner
        return {"anyOf": [inner, {"type": "string", "pattern": r"\{[{%#]"}]}


Dynamic: TypeAlias = Annotated[T | Template, _Rendered()]
"""`Dynamic[int]`: a whole number, or a template that renders to one. `ctx.render(value)` gives the T."""


class _Late:
    """The pydantic annotation behind Late: text with a template in it passes as it is."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def keep(value: Any, read: Callable[[Any], Any]) -> Any:
            return value if is_template(value) else read(value)

        return core_schema.no_info_wrap_validator_function(keep, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"type": "string", "pattern": r"\{[{%#]"}]}


Late: TypeAlias = Annotated[T, _Late()]
"""`Late[int]`: for properties of runners, which are built once more when all templates are rendered. A T by the time it is used."""
