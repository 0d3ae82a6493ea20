"""The package of a third party in `examples/acme_runner`, installed into a folder of a test's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "examples" / "acme_runner"


def installed(folder: Path) -> Path:
    """The folder to put on the path: what pip makes of a copy of the package, its entry points with it."""
    tree, site = folder / "tree", folder / "site"
    shutil.copytree(SOURCE, tree, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    uv = Path(sys.executable).with_name("uv")  # does what pip does, faster
    pip = [uv, "pip", "install", "--system-certs", "--python", sys.executable] if uv.exists() else [sys.executable, "-m", "pip", "install"]
    done = subprocess.run([*pip, "--no-deps", "--target", site, tree], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return site
