"""The script tasks by language: the names that entry points lead to."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from orchestrator_plugins.scripts import languages
from orchestrator_plugins.scripts.languages import POWERSHELL_OPTIONS, Language
from orchestrator_plugins.scripts.properties import INTERPRETER, Words
from orchestrator_plugins.scripts.python import PythonTask
from orchestrator_plugins.scripts.script import Commands, Script


class ShellScript(Script):
    """Run a shell script given in the flow."""

    language: ClassVar[Language] = languages.SHELL


class ShellCommands(Commands):
    """Run commands."""

    language: ClassVar[Language] = languages.SHELL


class PythonScript(PythonTask, Script):
    """Run a Python script given in the flow."""

    language: ClassVar[Language] = languages.PYTHON


class PythonCommands(PythonTask, Commands):
    """Run commands, with Python at hand."""

    language: ClassVar[Language] = languages.PYTHON


class NodeScript(Script):
    """Run a Node.js script given in the flow."""

    language: ClassVar[Language] = languages.NODE


class NodeCommands(Commands):
    """Run commands, with Node.js at hand."""

    language: ClassVar[Language] = languages.NODE


class BunScript(Script):
    """Run a Bun script given in the flow."""

    language: ClassVar[Language] = languages.BUN


class BunCommands(Commands):
    """Run commands, with Bun at hand."""

    language: ClassVar[Language] = languages.BUN


class DenoScript(Script):
    """Run a Deno script given in the flow."""

    language: ClassVar[Language] = languages.DENO


class DenoCommands(Commands):
    """Run commands, with Deno at hand."""

    language: ClassVar[Language] = languages.DENO


class RubyScript(Script):
    """Run a Ruby script given in the flow."""

    language: ClassVar[Language] = languages.RUBY


class RubyCommands(Commands):
    """Run commands, with Ruby at hand."""

    language: ClassVar[Language] = languages.RUBY


class PerlScript(Script):
    """Run a Perl script given in the flow."""

    language: ClassVar[Language] = languages.PERL


class PerlCommands(Commands):
    """Run commands, with Perl at hand."""

    language: ClassVar[Language] = languages.PERL


class PhpScript(Script):
    """Run a PHP script given in the flow."""

    language: ClassVar[Language] = languages.PHP


class PhpCommands(Commands):
    """Run commands, with PHP at hand."""

    language: ClassVar[Language] = languages.PHP


class LuaScript(Script):
    """Run a Lua script given in the flow."""

    language: ClassVar[Language] = languages.LUA


class LuaCommands(Commands):
    """Run commands, with Lua at hand."""

    language: ClassVar[Language] = languages.LUA


class GoScript(Script):
    """Run a Go program given in the flow."""

    language: ClassVar[Language] = languages.GO


class GoCommands(Commands):
    """Run commands, with Go at hand."""

    language: ClassVar[Language] = languages.GO


class RScript(Script):
    """Run an R script given in the flow."""

    language: ClassVar[Language] = languages.R


class RCommands(Commands):
    """Run commands, with R at hand."""

    language: ClassVar[Language] = languages.R


class JuliaScript(Script):
    """Run a Julia script given in the flow."""

    language: ClassVar[Language] = languages.JULIA


class JuliaCommands(Commands):
    """Run commands, with Julia at hand."""

    language: ClassVar[Language] = languages.JULIA


class PowerShellScript(Script):
    """Run a PowerShell script given in the flow."""

    language: ClassVar[Language] = languages.POWERSHELL
    interpreter: Words = Field((*POWERSHELL_OPTIONS, "-Command"), description=INTERPRETER)


class PowerShellCommands(Commands):
    """Run PowerShell commands."""

    language: ClassVar[Language] = languages.POWERSHELL
    interpreter: Words = Field((*POWERSHELL_OPTIONS, "-Command"), description=INTERPRETER)
