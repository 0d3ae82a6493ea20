"""The spot ladder: cheap capacity first, and dear capacity when the cheap one does not come or is taken away."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.sdk.plugin import PluginModel


class Spot(PluginModel):
    """Ask for spot capacity in the first starts of a run, and for on-demand capacity in all that follow.

    A runner has it as its property `spot` (None: on demand at once) and decides by `asks(job.attempt)`; the starts that fail on
    the way up count in no budget.
    """

    attempts: int = Field(2, ge=1, le=10, description="How many starts ask for spot capacity.", examples=[2])
    then: Literal["on-demand"] = Field("on-demand", description="What the starts after them ask for.")

    def asks(self, attempt: int) -> bool:
        """Whether a start after `attempt` failed ones asks for spot capacity."""
        return attempt < self.attempts
