"""Every filter, function and test of the language by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.lang.functions.catalogue import Entry, Table
from orchestrator.lang.functions.checks import CHECKS
from orchestrator.lang.functions.dates import DATE_FILTERS, DATE_FUNCTIONS
from orchestrator.lang.functions.days import DAY_FUNCTIONS
from orchestrator.lang.functions.encodings import ENCODING_FILTERS, ENCODING_FUNCTIONS
from orchestrator.lang.functions.formats import FORMAT_FILTERS, FORMAT_FUNCTIONS
from orchestrator.lang.functions.lists import LIST_FILTERS
from orchestrator.lang.functions.numbers import NUMBER_FILTERS, NUMBER_FUNCTIONS
from orchestrator.lang.functions.reaching import REACHING_FUNCTIONS
from orchestrator.lang.functions.surroundings import SURROUNDING_FUNCTIONS
from orchestrator.lang.functions.text import TEXT_FILTERS


def _first_given(value: Any, instead: Any = None) -> Any:
    """Never called: the compiler runs `default` itself, so that an undefined input is caught."""
    return instead if value is None else value


_DEFAULT: Table = {"default": Entry("default", ("default",), _first_given, 1)}
FILTERS: Table = {**_DEFAULT, **LIST_FILTERS, **TEXT_FILTERS, **NUMBER_FILTERS, **DATE_FILTERS, **ENCODING_FILTERS, **FORMAT_FILTERS}
FUNCTIONS: Table = {
    **NUMBER_FUNCTIONS,
    **DATE_FUNCTIONS,
    **DAY_FUNCTIONS,
    **ENCODING_FUNCTIONS,
    **FORMAT_FUNCTIONS,
    **REACHING_FUNCTIONS,
    **SURROUNDING_FUNCTIONS,
}
TESTS: dict[str, Callable[[Any], bool]] = {**CHECKS, "defined": lambda value: value is not None}
