"""`orchestrator explain CODE`: what an error's code means, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from orchestrator.cli.options import HELP, AsJson, Examples, commands
from orchestrator.cli.speech import put, put_json, table
from orchestrator.errors import NotFound

app = commands()

CODES: Mapping[str, str] = {
    "bad-yaml": "The file is not YAML 1.2. Indent with spaces; quote a value that holds `: ` or ` #`, or begins with `{`, `[`, `*`, `&`, "
    "`!`, `%`, `@` or a backtick.",
    "duplicate-key": "A property is written twice in the same place; only one could count. Keep one of the two.",
    "too-large": "The file, or what its anchors expand to, passes a bound that guards the server. Split the flow, or move data into files.",
    "unknown-type": "No installed plugin has this type. Mind its spelling; the part `io.kestra.plugin.` may be left out. `orchestrator "
    "schema` lists what is installed.",
    "renamed-type": "The type still works under this name, and has a newer one.",
    "unknown-property": "The task, trigger or flow has no property of this name. Mind its spelling and its indentation: it may belong one level up or down.",
    "missing-property": "A property that must be given is not there.",
    "empty": "A list that needs at least one entry has none, such as the `tasks` of a flow.",
    "duplicate-task-id": "Two tasks share an id. Ids are unique in the whole flow, within other tasks and under `errors` too.",
    "duplicate-trigger-id": "Two triggers of the flow share an id.",
    "duplicate-input-id": "Two inputs of the flow share an id.",
    "duplicate-output-id": "Two outputs of the flow share an id.",
    "conflicting-properties": "These properties exclude each other. Keep one of them.",
    "wrong-type": "The value is of another kind than the property takes, for instance text in place of a number. Where a template is "
    "allowed, write {{ ... }} in quotes.",
    "invalid-value": "The value is of the right kind, but not one of those allowed, or outside its bounds.",
    "bad-expression": "The template between {{ and }} cannot be read. Mind brackets, quotes and the names of filters and functions.",
    "unknown-input": "An input depends on another that the flow does not declare under `inputs`.",
    "unknown-task": "Something refers to a task id that is not in this flow.",
    "cyclic-dependency": "Tasks or inputs wait for each other in a circle, so none could ever start.",
    "recursive-flow": "The flow starts itself without end.",
    "system-label": "Labels that begin with `system.` are set by the server only.",
    "not-acted-on": "The property is accepted so that the flow can be used as it is, and has no effect in this version.",
    "unknown-worker-group": "Worker groups are declared on the server, and this is none of them. Mind its spelling; `orchestrator worker-group ls` lists "
    "them, `orchestrator worker-group create KEY` declares one.",
    "no-such-group": "No worker group of the server has the tags that the selector asks for: its key, tags and labels, and the labels of its live workers "
    "count. The task would wait or fail until one has them.",
    "group-not-allowed": "The worker group is kept for other namespaces (`allowedNamespaces`). Name another group, or have the group opened to the namespace.",
    "script-tasks-only": "A task runner runs a script task's commands in a place of its own. Any other task runs in a worker: name a `workerGroup`.",
    "no-effect": "The property is well-formed and changes nothing where it stands.",
    "not-kestra": "The property or the short name is an addition of this server (docs/additions.md), and Kestra would refuse the flow. Only `flow validate "
    "--kestra` tells.",
    "not-found": "What was named does not exist. List what does: `orchestrator flow ls`, `orchestrator execution ls`.",
    "conflict": "What was named is in a state that forbids the request, such as killing an execution that has ended.",
    "not-allowed": "The API token is missing or wrong. Set ORCHESTRATOR_API_TOKEN to the server's own.",
    "input-invalid": "An input is missing or breaks its declaration. Give it with -i KEY=VALUE, or --input-file KEY=PATH.",
    "server-unreachable": "No server answers at the address. Start one with `orchestrator server local`, or name another with --server or ORCHESTRATOR_SERVER.",
    "runner-unavailable": "The place that should run the task does not answer, such as a Docker engine that is not started. `orchestrator doctor` "
    "looks for it.",
    "job-rejected": "The place that should run the task refuses it: no such image, or no permission. Trying again as it is cannot help.",
    "no-worker": "No live worker can take the work. `orchestrator worker ls` shows which are there; join one with `orchestrator server worker`.",
}


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator explain wrong-type\n  orchestrator explain")
def explain(
    code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="The word between the brackets of error[...].", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Explain the code of an error; without one, list them all."""
    if code is None:
        put_json(dict(CODES)) if as_json else put(table(("CODE", "MEANING"), list(CODES.items())))
        return
    if code not in CODES:
        from difflib import get_close_matches

        close = get_close_matches(code, CODES, 1)
        raise NotFound(f"no such code: `{code}`\n  help: {f'did you mean `{close[0]}`?' if close else 'orchestrator explain lists them all'}")
    put_json({code: CODES[code]}) if as_json else put(CODES[code])
