"""A process that commits turn after turn and says each one's number once it has been answered. Made to be killed."""

from __future__ import annotations

import sys
from itertools import count

from orchestrator.model.state import State
from orchestrator.store.opening import open_store
from orchestrator.store.port import Changes
from tests.contract.store_values import NOON, a_command, a_line, a_run, an_execution

PADDING = "x" * 20_000  # a turn of several pages, so that half of one could be seen


def main(url: str) -> None:
    store = open_store(url, migrate=False)
    store.take_ownership("child", NOON)
    for number in count(1):
        store.commit(
            Changes(
                executions=[an_execution("e", State.RUNNING, version=number, task_run_count=number, variables={"padding": PADDING})],
                task_runs=[a_run(f"t{number}", "e", seq=number)],
                logs=[a_line(str(number), execution_id="e", task_run_id="t", offset=number)],
                commands=[a_command(f"c{number}", "e")],
                settings={"last": number},
            )
        )
        print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
