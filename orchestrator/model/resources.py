"""What a run needs of a machine for itself: cores, memory, devices."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from pydantic import ConfigDict, Field, field_validator, model_validator

from orchestrator.model.values import Frozen

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4, "KI": 1024, "MI": 1024**2, "GI": 1024**3, "TI": 1024**4}
_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*([KMGT]I?)?B?", re.IGNORECASE)
LEAST = 0.0001  # the smallest part of a core or a device that Ray counts


def parse_size(value: object) -> int:
    """Bytes of a number, or of text such as `512MiB`, `4GiB`, `2G`. Raises ValueError for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return int(value)
    found = _SIZE.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(f"`{value}` is not a size such as 512MiB or 4GiB")
    return int(float(found.group(1)) * _UNITS[(found.group(2) or "").upper()])


class Resources(Frozen):
    """`cpu` cores and `gpu` devices, fractions of one allowed; `memory` in bytes. Zero: does not matter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: float = Field(0.0, ge=0, allow_inf_nan=False)
    memory: int = Field(0, ge=0)
    gpu: float = Field(0.0, ge=0, allow_inf_nan=False)

    @field_validator("cpu", "gpu", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("must be a number")
        return 0.0 if value is None else value

    @field_validator("cpu", "gpu")
    @classmethod
    def _countable(cls, value: float) -> float:
        if 0 < value < LEAST:
            raise ValueError(f"{value:g} is less than can be shared out: at least {LEAST:g}")
        return value

    @field_validator("gpu")
    @classmethod
    def _whole_above_one(cls, gpu: float) -> float:
        if gpu > 1 and gpu != int(gpu):
            raise ValueError(f"{gpu:g} GPUs cannot be had: a fraction of one GPU, or a whole number of them")
        return gpu

    @field_validator("memory", mode="before")
    @classmethod
    def _bytes(cls, value: object) -> int:
        return 0 if value is None else parse_size(value)

    @model_validator(mode="after")
    def _something(self) -> Resources:
        if not (self.cpu or self.memory or self.gpu):
            raise ValueError("at least one of cpu, memory and gpu must be more than 0")
        return self

    @property
    def by_name(self) -> Mapping[str, float]:
        """As Ray names them."""
        return {name: value for name, value in (("CPU", self.cpu), ("memory", float(self.memory)), ("GPU", self.gpu)) if value}

    def __str__(self) -> str:
        parts = (
            f"{self.cpu:g} cpu" if self.cpu else "",
            f"{self.memory / 1024**2:.0f} MiB memory" if self.memory else "",
            f"{self.gpu:g} gpu" if self.gpu else "",
        )
        return ", ".join(filter(None, parts))
