from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_fake_server import FakeServer
from cli_words import FLOW, Command, Said

from orchestrator.cli import main as entry


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A fake server that every command of the test talks to."""
    fake = FakeServer()
    monkeypatch.setenv("ORCHESTRATOR_SERVER", fake.url)
    monkeypatch.delenv("ORCHESTRATOR_API_TOKEN", raising=False)
    yield fake
    fake.close()


@pytest.fixture
def orchestrator(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command line in this process, through the entry point."""

    def command(*args: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["orchestrator", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            entry.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Said(int(left.value.code or 0), captured.out, captured.err)

    return command


@pytest.fixture
def flow_file(tmp_path: Path) -> Path:
    file = tmp_path / "hello.yaml"
    file.write_text(FLOW)
    return file
