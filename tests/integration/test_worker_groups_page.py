"""The page on worker groups: its commands are typed in order against one server, and its settings are read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.lang.check import check
from orchestrator.model.reason import Reason
from orchestrator.settings import load
from tests.integration.local_server import local_server
from tests.integration.typist import DOCS, blocks, typist

PAGE = DOCS / "worker-groups.md"
YAML = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S)


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    with local_server(tmp_path, token="of-the-page") as server, typist(server, tmp_path, where=DOCS.parent) as typing:
        for mark, block in blocks(PAGE):
            if mark != "server":  # it is there
                typing.type(mark, block)


def test_the_settings_of_the_page_are_read(tmp_path: Path) -> None:
    (text,) = [text for text in YAML if text.startswith("worker-groups:")]
    file = tmp_path / "orchestrator.yaml"
    file.write_text(text)
    settings = load({}, {}, file)
    assert (settings.worker_groups[0].key, settings.worker_group, list(settings.namespaces)) == ("gpu", {"key": "general"}, ["company.plant"])


def test_the_flow_of_the_page_is_the_example() -> None:
    example = (DOCS.parent / "examples" / "on_group.yaml").read_text()
    assert any(check(text)[0] == check(example)[0] for text in YAML if text.startswith("id: on_group"))


def test_every_reason_is_on_the_page() -> None:
    told = PAGE.read_text() + (DOCS / "triggers.md").read_text()
    elsewhere = {Reason.PAUSED, Reason.NOT_A_SCRIPT, Reason.WAITING_FOR_TASKS, Reason.FLOW_DISABLED, Reason.NOT_DUE}
    assert [reason for reason in Reason if f"`{reason}`" not in told and reason not in elsewhere] == []
