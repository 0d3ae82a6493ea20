"""`make demo`: a server on a free port and a passing data folder, one real flow on it, and its result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.local_server import ORCHESTRATOR, NotReady, local_server

FLOW = Path(__file__).with_name("hello.yaml")


def main() -> int:
    """The exit code of the run: 0 when the flow succeeded."""
    print("Starting a server on a free port, with its data in a passing folder", flush=True)
    try:
        with local_server(show=sys.stderr) as server:
            command: list[str | Path] = [ORCHESTRATOR, "run", FLOW, "-i", "name=demo", "--server", server.url]
            print(f"$ orchestrator run examples/{FLOW.name} -i name=demo --server {server.url}", flush=True)
            code = subprocess.run(command, check=False).returncode
    except NotReady as err:
        print(err, file=sys.stderr)
        return 1
    print("The server has ended, and its data with it." if code == 0 else f"The run did not succeed (exit code {code}).", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
