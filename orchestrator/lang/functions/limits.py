"""How much one rendering may use, so that no template can take the server's memory or time."""

from __future__ import annotations

from orchestrator.errors import ExpressionFailed

OUTPUT_CHARS = 32 * 1024 * 1024
"""Characters of rendered text, and of any text made on the way."""
ITEMS = 1_000_000
"""Values in one list or map made or printed by an expression."""
LOOP_TURNS = 1_000_000
"""Turns of all `for` loops of one rendering together."""
RENDER_SECONDS = 10.0
"""For a rendering with loops, looked at in every turn."""
RENDER_ROUNDS = 100
RENDER_NESTING = 15
NESTING = 60
"""Levels of brackets in an expression."""
VALUE_DEPTH = 200
"""Levels of lists and maps in a value that is printed."""
REGEX_SECONDS = 1.0
JQ_SECONDS = 5.0
TEMPLATE_CHARS = 1024 * 1024


def text_within(size: int) -> None:
    """Raise ExpressionFailed when a text of `size` characters is more than a rendering may make."""
    if size > OUTPUT_CHARS:
        raise ExpressionFailed(f"The expression makes a text of more than {OUTPUT_CHARS} characters")


def items_within(size: int) -> None:
    """Raise ExpressionFailed when `size` values are more than an expression may make."""
    if size > ITEMS:
        raise ExpressionFailed(f"The expression makes a list of more than {ITEMS} items")
