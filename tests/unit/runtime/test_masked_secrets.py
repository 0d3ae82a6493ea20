"""What a person who tries an expression gets to see of secrets."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions import Renderer
from orchestrator.runtime.expressions import MASKED, Masking
from orchestrator.runtime.head_services import HeadServices
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from orchestrator.store.opening import open_store

CONTEXT = {"flow": {"namespace": "house", "id": "f"}}


@pytest.fixture
def renderer(tmp_path: Path) -> Renderer:
    settings = Settings(data=str(tmp_path), secrets={"KEY": base64.b64encode(b"opensesame").decode()})
    store = open_store(f"sqlite:///{tmp_path / 'orchestrator.db'}", migrate=True)
    return Renderer(Masking(HeadServices(store, Blobs(tmp_path / "storage"), settings)))


def test_a_secret_is_shown_masked(renderer: Renderer) -> None:
    assert renderer.render("{{ secret('KEY') }}", CONTEXT) == MASKED


def test_no_filter_takes_a_secret_apart(renderer: Renderer) -> None:
    assert renderer.render("{{ secret('KEY') | upper | length }}", CONTEXT) == str(len(MASKED))


def test_a_secret_that_is_not_there_is_said_so(renderer: Renderer) -> None:
    with pytest.raises(ExpressionFailed, match="Cannot find secret"):
        renderer.render("{{ secret('OTHER') }}", CONTEXT)
