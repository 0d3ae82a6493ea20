"""Which room may import which, read from the sources: the table of docs/architecture.md as a dict."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = ROOT / "plugins"
LINES = 400  # no file is longer: past it look for the second noun
NO_NOUNS = {"utils", "util", "helpers", "helper", "common", "base", "manager"}

# A room may import these, besides itself and `orchestrator.errors`.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "model": set(),
    "sdk": {"model"},
    "registry": {"sdk", "model"},
    "lang": {"model", "sdk", "registry"},
    "engine": {"model", "sdk"},
    "store": {"model"},
    "settings": {"model", "lang"},
    "runtime": {"engine", "store", "lang", "registry", "sdk", "model", "settings"},
    "server": {"store", "lang", "registry", "model", "settings", "runtime.client", "runtime.requests"},
    "cli": {"lang", "model", "settings", "registry"},
    "plugins": {"sdk"},
}
# Further ways in, only inside functions: loaded when that command is called for, and no sooner.
LATE: dict[str, set[str]] = {
    "runtime": {"server"},  # the API actor and `server standalone` serve the app
    "cli": {"runtime", "server", "store"},
}
# A library -> the only places that import it: rooms, or files as `room.module` with `*`.
ONLY_IN: dict[str, set[str]] = {
    "yaml": {"lang"},
    "jinja2": {"lang"},
    "sqlalchemy": {"store", "plugins.*.client", "plugins.*.*_client"},
    "alembic": {"store"},
    "fsspec": {"store"},
    "psycopg": {"store", "plugins.*.*_client"},
    "pymysql": {"plugins.*.*_client"},
    "pymssql": {"plugins.*.*_client"},
    "duckdb": {"plugins.*.*_client"},
    "fastapi": {"server"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "sse_starlette": {"server"},
    "typer": {"cli"},
    "rich": {"cli"},
    "click": {"cli"},
    "ray": {"runtime.ray_*"},
    "docker": {"plugins.*.client", "plugins.*.emulator*"},
    "boto3": {"plugins.*.client", "plugins.*.emulator*"},
    "botocore": {"plugins.*.client"},
    "moto": {"plugins.*.emulator*"},
    "google": {"plugins.*.client", "plugins.*.emulator*"},
    "grpc": {"plugins.*.client", "plugins.*.emulator*"},
}
# The only reader of os.environ; the other is a program of its own, run where a script runs, and knows nothing of the project.
ENVIRONMENT = {"orchestrator/settings.py", "plugins/orchestrator_plugins/scripts/provisioning.py"}
HEAVY = ("ray", "boto3", "docker", "google", "sqlalchemy", "fastapi", "uvicorn")  # the command line starts without them


def _sources() -> list[Path]:
    return sorted([*(ROOT / "orchestrator").rglob("*.py"), *PLUGINS.rglob("*.py")])


def _place(path: Path) -> str:
    """`room.module...` of a source file: `orchestrator/store/port.py` is `store.port`."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    parts = ["plugins", *parts[2:]] if parts[0] == "plugins" else parts[1:]
    return ".".join(part for part in parts if part != "__init__")


@cache
def _imports(path: Path) -> tuple[tuple[str, int, bool], ...]:
    """What a file imports: (module, line, whether at its top level). Type-checking blocks count as late: nothing is loaded."""
    return tuple(_found(ast.parse(path.read_text(), str(path)), path, top=True))


def _found(node: ast.AST, path: Path, *, top: bool) -> Iterator[tuple[str, int, bool]]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Import):
            yield from ((name.name, inner.lineno, top) for name in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            assert inner.level == 0, f"{path}:{inner.lineno}: imports are absolute"
            yield from ((f"{inner.module}.{name.name}", inner.lineno, top) for name in inner.names)
        else:
            yield from _found(inner, path, top=top and not _late(inner))


def _late(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))


def _within(place: str, allowed: set[str]) -> bool:
    """Whether a dotted place is one of the allowed ones, or inside one; `*` stands for a part or its end."""
    return any(_covers(rule.split("."), place.split(".")) for rule in allowed)


def _covers(rule: list[str], parts: list[str]) -> bool:
    return len(parts) >= len(rule) and all(Path(part).match(want) for part, want in zip(parts, rule, strict=False))


def _crossings() -> Iterator[str]:
    for path in _sources():
        room = _place(path).split(".")[0]
        for module, line, top in _imports(path):
            if room and module.startswith("orchestrator") and not _within(_target(module), _allowed(room, top=top)):
                yield f"{path.relative_to(ROOT)}:{line}: {room} imports {module}"


def _target(module: str) -> str:
    return "plugins" if module.startswith("orchestrator_plugins") else module.removeprefix("orchestrator.")


def _allowed(room: str, *, top: bool) -> set[str]:
    return MAY_IMPORT[room] | {room, "errors", "orchestrator", "__version__"} | (set() if top else LATE.get(room, set()))


def test_a_room_imports_only_what_its_row_allows() -> None:
    assert list(_crossings()) == []


def test_a_plugin_family_imports_no_other_family() -> None:
    strange = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in PLUGINS.rglob("*.py")
        for module, line, _ in _imports(path)
        if module.startswith("orchestrator_plugins.") and module.split(".")[1] != path.relative_to(PLUGINS).parts[1]
    ]
    assert strange == []


def test_a_library_is_imported_only_by_its_room() -> None:
    strange = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in _sources()
        for module, line, _ in _imports(path)
        if (rule := ONLY_IN.get(module.split(".")[0])) is not None and not _within(_place(path), rule)
    ]
    assert strange == []


def test_only_settings_reads_the_environment() -> None:
    readers = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _sources()
        if str(path.relative_to(ROOT)) not in ENVIRONMENT
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "putenv"} and isinstance(node.value, ast.Name) and node.value.id == "os"
    ]
    assert readers == []


def test_the_engine_reads_no_clock_and_does_no_io() -> None:
    acting = {"time", "random", "os", "pathlib", "socket", "subprocess", "threading", "asyncio", "httpx", "urllib", "secrets"}
    strange = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in (ROOT / "orchestrator/engine").rglob("*.py")
        for module, line, top in _imports(path)
        if module.split(".")[0] in acting and module != "random.Random"  # one with a seed from the row is no chance
    ]
    assert strange == []


def test_no_file_is_too_long_to_read() -> None:
    long = {str(path.relative_to(ROOT)): count for path in _sources() if (count := len(path.read_text().splitlines())) > LINES}
    assert long == {}


def test_every_module_is_named_by_a_noun_of_its_own() -> None:
    assert [str(path.relative_to(ROOT)) for path in _sources() if {path.stem, path.parent.name} & NO_NOUNS] == []


def test_the_command_line_starts_without_heavy_libraries() -> None:
    code = f"import sys, orchestrator.cli.main; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("place", "rule", "within"),
    [
        ("runtime.ray_boot", "runtime.ray_*", True),
        ("runtime.executor", "runtime.ray_*", False),
        ("runtime", "runtime.client", False),
        ("lang.check", "lang", True),
    ],
)
def test_a_place_is_told_by_its_parts(place: str, rule: str, within: bool) -> None:
    assert _within(place, {rule}) is within


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "sample.py"
    file.write_text("import a\ntry:\n    import b\nexcept OSError:\n    from c import d\ndef f():\n    match 1:\n        case 1:\n            import e\n")
    assert _imports(file) == (("a", 1, True), ("b", 3, True), ("c.d", 5, True), ("e", 9, False))


def test_the_page_on_architecture_names_real_modules() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"(?:orchestrator|plugins)/[\w/]+\.py", page))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
    assert [room for room in MAY_IMPORT if room != "errors" and room != "settings" and f"`orchestrator/{room}" not in page and room != "plugins"] == []
