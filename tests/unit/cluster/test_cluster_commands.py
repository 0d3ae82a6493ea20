"""Every command of ours in the cluster files is one that the command line knows, with every option it is given."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from tests.unit.cluster.cluster_files import CLUSTER, document, documents

COMMAND = re.compile(r"\borchestrator ((?:server|worker|token) [a-z]+)([^\n|;&]*)")


def _commands() -> dict[str, tuple[str, str]]:
    """(verb, arguments) of each command, by where it stands."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(CLUSTER.rglob("*")):
        if path.is_file() and path.suffix not in (".md", ".gitignore"):
            for at, match in enumerate(COMMAND.finditer(path.read_text())):
                found[f"{path.relative_to(CLUSTER)}:{at}"] = (match[1], match[2])
    services: dict[str, Any] = document("compose/compose.yaml")["services"]
    lists = {f"compose:{name}": service["command"] for name, service in services.items() if "command" in service}
    (joined,) = (one for one in documents("kubernetes/workers.yaml") if one["kind"] == "Deployment")
    container = joined["spec"]["template"]["spec"]["containers"][0]
    lists["kubernetes/workers.yaml"] = [*container["command"], *container["args"]]
    return found | {where: (" ".join(words[1:3]), " ".join(words[3:])) for where, words in lists.items()}


@cache
def _help(verb: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli.main", *verb.split(), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"COLUMNS": "200"},
        check=False,
    )
    assert done.returncode == 0, f"orchestrator {verb}: {done.stderr}"
    return done.stdout


@pytest.mark.parametrize("where", sorted(_commands()))
def test_the_command_line_knows_it(where: str) -> None:
    verb, arguments = _commands()[where]
    for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", arguments):
        assert re.search(rf"{option}\b", _help(verb)), f"orchestrator {verb} {option}"


def test_they_were_found() -> None:
    assert {verb for verb, _ in _commands().values()} >= {"server local", "server standalone", "server worker", "worker drain", "token create"}
    assert len(_commands()) >= 9
