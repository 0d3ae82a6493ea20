"""What an execution has cost, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.cli.speech import table

UNKNOWN = "unknown"


def told(costs: Mapping[str, Any]) -> str:
    """The total and how sure it is, then what each task and each runner had of it."""
    lines = [f"{money(costs['total'])} {costs['currency']}{_doubts(costs)}", ""]
    lines.append(table(("TASK", "RUNS", "COST"), [(one["taskId"], str(one["taskRuns"]), _cell(one)) for one in costs["byTask"]]))
    lines += ["", table(("RUNNER", "RUNS", "COST"), [(one["runner"], str(one["taskRuns"]), _cell(one)) for one in costs["byRunner"]])]
    sources = dict.fromkeys(f"  {price['service']}: as of {price['date']}, {price['source']}" for run in costs["runs"] if (price := run.get("price")))
    return "\n".join([*lines, *(["", "prices", *sources] if sources else [])])


def money(amount: float) -> str:
    """An amount with the digits that matter: small ones are worth knowing too."""
    return f"{amount:.2f}" if amount >= 1 or amount == 0 else f"{amount:.6f}"


def _doubts(costs: Mapping[str, Any]) -> str:
    doubts = [f"{costs['unknown']} task runs of unknown cost" if costs["unknown"] else "", f"{costs['running']} not ended" if costs["running"] else ""]
    said = ", ".join(doubt for doubt in doubts if doubt)
    return f" at least ({said})" if said else ""


def _cell(one: Mapping[str, Any]) -> str:
    if one["unknown"] == one["taskRuns"]:
        return UNKNOWN
    return money(one["total"]) + (f" + {one['unknown']} {UNKNOWN}" if one["unknown"] else "")
