"""What tasks in Python have besides: packages that are installed before the script begins, and the version they need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Literal

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, Parsed, RunContext, Template, Text
from orchestrator_plugins.scripts.desk import Desk
from orchestrator_plugins.scripts.properties import words
from orchestrator_plugins.scripts.provisioning import VARIABLE
from orchestrator_plugins.scripts.script import Running


class PythonTask(Running):
    """A task in Python. Its packages are installed where it runs: kept by a hash of what was asked on a worker, anew in a container."""

    dependencies: Dynamic[Parsed[tuple[Dynamic[Text], ...]]] | None = Field(
        None, description="Packages to install first, as pip is given them.", examples=[["requests>=2.31", "pandas"]]
    )
    dependency_cache_enabled: Dynamic[bool] = Field(True, description="Whether a worker keeps installed packages for later runs that ask for the same.")
    package_manager: Dynamic[Literal["UV", "PIP"]] = Field("UV", description="What installs them: uv where it is there, else pip; or pip.")
    python_version: Dynamic[str] | None = Field(  # no number: 3.10 is 3.1
        None, description="The Python to use: it chooses the image where none is named, and on a worker which of its Pythons.", examples=["3.12"]
    )

    def image(self) -> Dynamic[str]:
        version = self.python_version
        if version is None or self._names_image():
            return super().image()
        return Template(f"python:{version.source}-slim") if isinstance(version, Template) else f"python:{version}-slim"

    def _names_image(self) -> bool:
        return self.container_image is not None or bool((self.docker or {}).get("image"))

    def own_env(self, ctx: RunContext, desk: Desk) -> Mapping[str, str]:
        asked = self._asked(ctx, desk)
        return {**self.language.env, **({VARIABLE: json.dumps(asked)} if asked is not None else {})}

    def wrapped(self, ctx: RunContext, desk: Desk, argv: tuple[str, ...]) -> tuple[str, ...]:
        if self._asked(ctx, desk) is None:
            return argv
        source = files(__package__).joinpath("provisioning.py").read_text()
        if not desk.takes_files:
            return ("python", "-c", source, *argv)
        return ("python", desk.write(desk.own_name("-packages.py"), source), *argv)

    def _asked(self, ctx: RunContext, desk: Desk) -> Mapping[str, Json] | None:
        """What `provisioning` is told; None when there is nothing for it to do."""
        packages = words(ctx, ctx.render(self.dependencies) or ())
        version = ctx.render(self.python_version) if desk.is_here or self._names_image() else None  # else it has chosen the image
        if not packages and not version:
            return None
        kept = str(ctx.cache_dir()) if desk.is_here and ctx.render(self.dependency_cache_enabled) else None
        beside = desk.seen_as if desk.is_here else None
        return {"packages": packages, "manager": ctx.render(self.package_manager), "version": version, "cache": kept, "beside": beside}
