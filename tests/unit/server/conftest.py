from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from api_site import Site


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Site]:
    return lambda **settings: Site(tmp_path / "blobs", **settings)


@pytest.fixture
async def open_site(tmp_path: Path) -> Site:
    return Site(tmp_path / "blobs")


@pytest.fixture
async def api(open_site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with open_site.client() as client:
        yield client
