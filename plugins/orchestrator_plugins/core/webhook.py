"""A trigger with an address."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import field_validator

from orchestrator.sdk import CalledTrigger, Json


class Webhook(CalledTrigger):
    """Start an execution when its address, `/api/v1/executions/webhook/NAMESPACE/FLOW/KEY`, is called by GET, POST or PUT."""

    @field_validator("conditions")
    @classmethod
    def _no_multiple(cls, conditions: tuple[Mapping[str, Json], ...]) -> tuple[Mapping[str, Json], ...]:
        if any(str(condition.get("type", "")).endswith("MultipleCondition") for condition in conditions):
            raise ValueError("invalid webhook: conditions of type MultipleCondition are not supported")
        return conditions
