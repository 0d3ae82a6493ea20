"""The language is light to load, and one renderer serves many threads."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from orchestrator.lang.expressions import Renderer

HEAVY = ("babel", "jq", "regex", "cryptography", "yaml", "sqlalchemy", "ray", "fastapi")


def test_loading_the_language_loads_no_heavy_library() -> None:
    program = f"import sys; import orchestrator.lang.expressions; print([name for name in {HEAVY!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_threads_share_a_renderer() -> None:
    renderer = Renderer()

    def one(number: int) -> str:
        template = "{% set s = 0 %}{% for i in 1..n %}{% set s = s + i %}{% endfor %}{{ s }} {{ [n] | jq('map(. + 1)') | first }} #" + str(number % 7)
        return renderer.render(template, {"n": number})

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(one, range(1, 60)))
    assert found == [f"{n * (n + 1) // 2} [{n + 1}] #{n % 7}" for n in range(1, 60)]
