"""The root of every plugin model: frozen, strict about unknown properties, camelCase as users write it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class PluginModel(BaseModel):
    """Data a user writes under a `type:`. Field `run_if` is written `runIf`; an unknown property is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, validate_default=False)
