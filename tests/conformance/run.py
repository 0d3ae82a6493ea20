"""The conformance cases against a server of their own, held to the floor: `python -m tests.conformance.run --harness FOLDER`.

Other files than the floor's: `--file flow-errors` (repeatable, patterns allowed, `--file '*'` for all); then nothing is
compared. `--raise` lifts the floor to what passed.
"""

from __future__ import annotations

import argparse
import base64
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.conformance import check_floor
from tests.conftest import docker_answers
from tests.local_server import local_server

GLOBALS = "variables:\n  globals: {string: string, int: 1, bool: true, nested: {int: 2}}\n"
VARIABLES = {"KESTRA_TEST1": "true", "KESTRA_TEST2": "Pass by env"}
HAVE = ["python", "encryption", "fresh", "config:kestra.variables.globals=*", *(f"env:{name}={value}" for name, value in VARIABLES.items())]


def main() -> int:
    """0 when nothing fell below the floor."""
    options = _options()
    floor = check_floor.read()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "results.json"
        _run_harness(options, options.file or floor.files, found)
        if options.file:
            return 0
        return check_floor.main([str(found), *(["--raise"] if options.raise_floor else [])])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--harness", type=Path, required=True, help="the folder with the harness's run.py")
    parser.add_argument("--file", action="append", help="cases of this file only, without a comparison with the floor")
    parser.add_argument("--raise", dest="raise_floor", action="store_true", help="lift the floor to what passed")
    parser.add_argument("--case", action="append", default=[], help="only this case")
    parser.add_argument("-j", "--jobs", default="4", help="cases at a time")
    return parser.parse_args()


def _run_harness(options: argparse.Namespace, files: Sequence[str], found: Path) -> None:
    """Leaves the results in `found`. Failing cases are no error here: the floor tells which may fail."""
    have = [*HAVE, *(["docker"] if docker_answers() else []), *(["node"] if shutil.which("node") else [])]
    selected = [word for file in files for word in ("--file", file)] + [word for case in options.case for word in ("--case", case)]
    configuration = found.with_name("orchestrator.yaml")
    configuration.write_text(GLOBALS)
    environ = {**VARIABLES, "ORCHESTRATOR_CONFIG": str(configuration), "ORCHESTRATOR_ENCRYPTION_SECRET_KEY": base64.b64encode(secrets.token_bytes(32)).decode()}
    with local_server(environ=environ) as server:
        command = [sys.executable, options.harness / "run.py", "--url", server.url, "--have", ",".join(have), "--json", found, "-j", options.jobs, *selected]
        subprocess.run(command, check=False)
    if not found.exists() or not json.loads(found.read_text()):
        raise SystemExit("the harness could run nothing")


if __name__ == "__main__":
    sys.exit(main())
