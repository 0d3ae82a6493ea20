"""A plan as text: the flow's tree, below each task its places, its runner and what would become of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.cli.speech import harmless
from orchestrator.model.plan import FlowPlan, Outlook, PlannedStep, PlannedTask

LEVELS: Mapping[str, str] = {
    "task": "the task says so",
    "trigger": "the trigger says so",
    "flow": "the flow says so",
    "pluginDefaults": "a plugin default says so",
    "namespace": "the namespace says so",
    "server": "the server's default",
    "default": "by default",
}
SHAPES: Mapping[Outlook, str] = {Outlook.NOW: "●", Outlook.WAITS: "◌", Outlook.FAILS: "✗", Outlook.CANCELLED: "✗", Outlook.OPEN: "?"}
WORDS: Mapping[Outlook, str] = {
    Outlook.NOW: "would go now",
    Outlook.WAITS: "would wait",
    Outlook.FAILS: "would fail",
    Outlook.CANCELLED: "would be cancelled",
    Outlook.OPEN: "open",
}


def shown(plan: FlowPlan) -> str:
    """The whole plan."""
    counts = [f"{len(tasks)} {WORDS[how]}" for how in Outlook if (tasks := [task for task in plan.tasks if task.outlook is how and not task.disabled])]
    last = ", ".join(counts) if plan.live else "by the flow alone: no server was asked"
    lines = [f"{plan.namespace}.{plan.id}", *(line for task in plan.tasks for line in _task(task)), last]
    return "\n".join(harmless(line) for line in lines)


def _task(task: PlannedTask) -> Iterator[str]:
    margin = "  " * (len(task.parents) + 1)
    kind = task.type.rsplit(".", 1)[-1]
    branch = "" if task.branch == "tasks" else f" ({task.branch})"
    yield f"{margin}{task.id}  {kind}{branch}{' · disabled' if task.disabled else ''}{' · trigger' if task.kind == 'trigger' else ''}"
    if task.kind != "flowable":
        yield from (f"{margin}    {line}" for line in _details(task))


def _details(task: PlannedTask) -> Iterator[str]:
    said = f"`{task.said_by}` around it says so" if task.level == "parent" else LEVELS.get(task.level or "", task.level or "")
    forced = ", and is forced" if task.said_by == "forced" else ""
    for at, step in enumerate(task.steps, 1):
        number = f"{at}. " if len(task.steps) > 1 else ""
        yield f"→ {number}{_place(step)}" + (f" · {said}{forced}" if at == 1 else "")
    if task.fallback not in (None, "WAIT"):
        yield f"  fallback {task.fallback}"
    if task.task_runner is not None:
        yield f"  runner {task.task_runner.rsplit('.', 1)[-1]}: {task.runner_reason}"
    if task.resources is not None:
        yield "  resources " + ", ".join(f"{name} {value}" for name, value in task.resources.items())
    if task.queue_timeout is not None:
        yield f"  waits for a place for at most {task.queue_timeout}"
    if task.unrendered:
        yield f"  known only when it runs: {', '.join(task.unrendered)}"
    if task.outlook is not None:
        yield f"{SHAPES[task.outlook]} {WORDS[task.outlook]}: {task.because}"


def _place(step: PlannedStep) -> str:
    return step.place + (f", for at most {step.wait}" if step.wait not in (None, "PT0S") else "")
