"""The script tasks by language: the names that entry points lead to."""

from __future__ import annotations

from typing import ClassVar

from orchestrator_plugins.scripts import languages
from orchestrator_plugins.scripts.languages import Language
from orchestrator_plugins.scripts.script import Commands, Script


class ShellScript(Script):
    """Run a shell script given in the flow."""

    language: ClassVar[Language] = languages.SHELL


class ShellCommands(Commands):
    """Run commands."""

    language: ClassVar[Language] = languages.SHELL


class PythonScript(Script):
    """Run a Python script given in the flow."""

    language: ClassVar[Language] = languages.PYTHON


class PythonCommands(Commands):
    """Run commands, with Python at hand."""

    language: ClassVar[Language] = languages.PYTHON


class NodeScript(Script):
    """Run a Node.js script given in the flow."""

    language: ClassVar[Language] = languages.NODE


class NodeCommands(Commands):
    """Run commands, with Node.js at hand."""

    language: ClassVar[Language] = languages.NODE


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


class RScript(Script):
    """Run a R script given in the flow."""

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
