"""Tasks that change their execution, on a worker of a real executor: what follows them sees it, and so does the next executor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.unit.runtime.executor_house import house

CORE = "io.kestra.plugin.core"


def _states(execution: Any) -> dict[str, str]:
    return {run["taskId"]: run["state"]["current"] for run in execution["taskRunList"]}


def _run(execution: Any, task_id: str) -> Any:
    return next(run for run in execution["taskRunList"] if run["taskId"] == task_id)


def test_variables_are_set_seen_and_unset(tmp_path: Path) -> None:
    source = f"""
id: f
namespace: house
variables: {{region: north, old: 1}}
tasks:
  - {{id: set, type: {CORE}.execution.SetVariables, variables: {{batch: "{{{{ execution.id }}}}", about: {{rows: 3}}}}}}
  - {{id: unset, type: {CORE}.execution.UnsetVariables, variables: [old]}}
  - {{id: see, type: {CORE}.debug.Return, format: "{{{{ vars.batch }}}} {{{{ vars.region }}}} {{{{ vars.about.rows }}}} {{{{ vars.old is defined }}}}"}}
  - {{id: again, type: {CORE}.execution.SetVariables, variables: {{batch: x}}, overwrite: false}}
"""

    async def check() -> None:
        async with house(tmp_path) as own:
            ended = await own.run(source)
            assert _run(ended, "see")["outputs"]["value"] == f"{ended['id']} north 3 false"
            assert _run(ended, "again")["error"] == "Variables that exist already are not to be overwritten: batch"
            assert ended["state"]["current"] == "FAILED"

    asyncio.run(check())


def test_an_exit_ends_its_execution_with_finally_and_leaves_the_rest(tmp_path: Path) -> None:
    source = f"""
id: f
namespace: house
tasks:
  - {{id: leave, type: {CORE}.execution.Exit, runIf: "{{{{ true }}}}", state: WARNING}}
  - {{id: never, type: {CORE}.log.Log, message: x}}
finally:
  - {{id: last, type: {CORE}.log.Log, message: x}}
"""

    async def check() -> None:
        async with house(tmp_path) as own:
            ended = await own.run(source)
            assert (ended["state"]["current"], _states(ended)) == ("WARNING", {"leave": "SUCCESS", "last": "SUCCESS"})

    asyncio.run(check())


def _beside(state: str, lasts: str) -> str:
    """An exit beside a task that lasts longer."""
    return f"""
id: f
namespace: house
tasks:
  - id: many
    type: {CORE}.flow.Parallel
    tasks:
      - {{id: long, type: {CORE}.flow.Sleep, duration: {lasts}}}
      - {{id: leave, type: {CORE}.execution.Exit, state: {state}}}
  - {{id: never, type: {CORE}.log.Log, message: x}}
"""


def test_an_exit_that_kills_stops_what_runs_beside_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            ended = await own.run(_beside("KILLED", "PT30S"))
            assert (ended["state"]["current"], _states(ended)) == ("KILLED", {"many": "KILLED", "long": "KILLED", "leave": "SUCCESS"})

    asyncio.run(check())


def test_an_exit_is_kept_by_the_next_executor(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            execution = await own.run(_beside("FAILED", "PT1S"), wait=False)
            await own.until(execution["id"], lambda e: _states(e).get("leave") == "SUCCESS")
        async with house(tmp_path) as own:
            ended = await own.ended(execution["id"])
            assert (ended["state"]["current"], _states(ended)) == ("FAILED", {"many": "FAILED", "long": "SUCCESS", "leave": "SUCCESS"})

    asyncio.run(check())
