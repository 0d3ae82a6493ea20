"""The page on scripts: its flows are checked, its commands typed in order against one server, and its table is the code's."""

from __future__ import annotations

import base64
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from orchestrator import registry
from orchestrator.lang.check import check
from orchestrator.settings import load
from tests.integration.local_server import local_server
from tests.integration.typist import DOCS, blocks, typist

PAGE = DOCS / "scripts.md"
YAML = re.findall(r"^```yaml\n(?:# (\S+)\n)?(.*?)^```", PAGE.read_text(), re.M | re.S)
FLOWS = {name: text for name, text in YAML if "tasks:" in text}
ROW = re.compile(r"^\| `(io\.kestra\.plugin\.scripts\.\w+)` \| `([^`]+)` \| (.+) \|$", re.M)


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    environ = {"ORCHESTRATOR_DEFAULT_RUNNER": "process", "SECRET_TOKEN": base64.b64encode(b"of the page").decode()}
    with local_server(tmp_path, token="of-the-page", environ=environ) as server, typist(server, tmp_path) as typing:
        for name, text in FLOWS.items():
            (tmp_path / (name or "other.yaml")).write_text(text)
        for mark, block in blocks(PAGE):
            if mark != "server":  # it is there
                typing.type(mark, block)
        typing.type("", "orchestrator run secret.yaml")
        kept = Path(tempfile.gettempdir()) / f"orchestrator-{server.call('GET', '/api/v1/configs')['uuid']}" / "cache"
        assert [path.name[:7] for path in kept.iterdir()] == ["python-"]
    shutil.rmtree(kept)


@pytest.mark.parametrize("text", FLOWS.values(), ids=[name or "other" for name in FLOWS])
def test_every_flow_of_the_page_is_valid(text: str) -> None:
    flow, found = check(text)
    assert (flow is not None, list(found)) == (True, [])


def test_the_settings_of_the_page_are_read(tmp_path: Path) -> None:
    (text,) = [text for name, text in YAML if name == "orchestrator.yaml"]
    file = tmp_path / "orchestrator.yaml"
    file.write_text(text)
    assert load({}, {}, file).default_runner == "docker"


def test_the_table_of_languages_is_that_of_the_code() -> None:
    told = {name: (image, run) for name, image, run in ROW.findall(PAGE.read_text())}
    kinds = {name: registry.load("task", name) for name in registry.types("task") if name.startswith("io.kestra.plugin.scripts.")}
    known = {}
    for name, kind in kinds.items():
        program = kind.language.program
        known[name.rpartition(".")[0]] = (kind.language.image, f"`{' '.join(program)}`" if program else "the interpreter, `/bin/sh -c`")
    assert told == known
