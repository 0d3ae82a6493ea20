"""Filters on text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.catalogue import Table, entry, whole, wrong_input
from orchestrator.lang.functions.printing import is_list, to_text, weigh

TEXT_FILTERS: Table = {}
_ESCAPES = {"single": ("'", "\\'"), "double": ('"', '\\"'), "shell": ("'", "'\\''")}
_NEWLINE = re.compile(r"\r\n|\r|\n")


def through(value: Any, change: Callable[[str], str]) -> Any:
    """A value with all text in its maps and lists changed."""
    if isinstance(value, str):
        return change(value)
    weigh(value)
    return _through(value, change)


def _through(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_through(key, change): _through(held, change) for key, held in value.items()}
    return [_through(item, change) for item in value] if is_list(value) else value


def _of_text(name: str, change: Callable[[str], Any]) -> None:
    """A filter without arguments on the text of a value; null stays null."""
    entry(TEXT_FILTERS, name)(lambda value: None if value is None else change(to_text(value)))


_of_text("lower", str.lower)
_of_text("upper", str.upper)
_of_text("trim", lambda text: text.strip())
_of_text("capitalize", lambda text: text[:1].upper() + text[1:])
_of_text("title", lambda text: re.sub(r"(^|\s)(\S)", lambda found: found.group(1) + found.group(2).upper(), text))
_of_text("nl2br", lambda text: _NEWLINE.sub("<br />\n", text))
_of_text("urlencode", lambda text: quote_plus(text, safe="*").replace("~", "%7E"))
_of_text("urldecode", unquote_plus)


@entry(TEXT_FILTERS, "abbreviate", parameters=("length",), required=1)
def abbreviate(value: Any, length: Any = None) -> Any:
    """A text cut to `length` characters, the last three of them dots."""
    if value is None:
        return None
    text, limit = to_text(value), whole("abbreviate", "length", length)
    if limit < 0:
        raise ExpressionFailed("The argument 'length' of 'abbreviate' must not be negative")
    return text if len(text) <= limit else text[: max(0, limit - 3)] + "..."


@entry(TEXT_FILTERS, "startsWith", parameters=("value",), required=1)
def starts_with(value: Any, start: Any = None) -> bool:
    return value is not None and to_text(value).startswith(to_text(start))


@entry(TEXT_FILTERS, "endsWith", parameters=("value",), required=1)
def ends_with(value: Any, end: Any = None) -> bool:
    return value is not None and to_text(value).endswith(to_text(end))


@entry(TEXT_FILTERS, "escapeChar", parameters=("type",), required=1)
def escape_char(value: Any, kind: Any = None) -> Any:
    """Quotes escaped for the place the text goes to, in maps and lists too."""
    if value is None:
        return None
    pair = _ESCAPES.get(to_text(kind).lower())
    if pair is None:
        raise ExpressionFailed("The argument 'type' of 'escapeChar' must be either 'single', 'double', or 'shell'")
    return through(value, lambda text: text.replace(*pair))


@entry(TEXT_FILTERS, "indent", parameters=("amount", "prefix"), required=1)
def indent(value: Any, amount: Any = None, prefix: Any = None) -> Any:
    """Every line but the first moved to the right by `amount` times `prefix`."""
    return _indented("indent", value, amount, prefix)


@entry(TEXT_FILTERS, "nindent", parameters=("amount", "prefix"), required=1)
def nindent(value: Any, amount: Any = None, prefix: Any = None) -> Any:
    """A new line, then every line moved to the right."""
    text = _indented("nindent", value, amount, prefix)
    if not text:
        return text
    newline = _NEWLINE.search(text)
    return (newline.group() if newline else "\n") + _margin("nindent", amount, prefix) + text


def _margin(name: str, amount: Any, prefix: Any) -> str:
    count, unit = whole(name, "amount", amount), " " if prefix is None else to_text(prefix)
    if count < 0:
        raise ExpressionFailed(f"The argument 'amount' of '{name}' must not be negative")
    limits.text_within(count * len(unit))
    return unit * count


def _indented(name: str, value: Any, amount: Any, prefix: Any) -> str | None:
    if value is None:
        return None
    text, margin = to_text(value), _margin(name, amount, prefix)
    limits.text_within(len(text) + len(margin) * len(_NEWLINE.findall(text)))
    return _NEWLINE.sub(lambda found: found.group() + margin, text)


@entry(TEXT_FILTERS, "slugify")
def slugify(value: Any) -> Any:
    """Lower-case letters, digits and single dashes only."""
    if value is None:
        return None
    text = unicodedata.normalize("NFD", re.sub(r"\s", "-", to_text(value)))
    text = re.sub(r"[^\w-]", "", text, flags=re.ASCII).replace("_", "-").lower()
    return re.sub(r"-+", "-", text).strip("-")


@entry(TEXT_FILTERS, "substringBefore", parameters=("separator",), required=1)
def substring_before(value: Any, separator: Any = None) -> Any:
    return None if value is None else to_text(value).split(_separator(separator), 1)[0]


@entry(TEXT_FILTERS, "substringBeforeLast", parameters=("separator",), required=1)
def substring_before_last(value: Any, separator: Any = None) -> Any:
    return None if value is None else to_text(value).rsplit(_separator(separator), 1)[0]


@entry(TEXT_FILTERS, "substringAfter", parameters=("separator",), required=1)
def substring_after(value: Any, separator: Any = None) -> Any:
    return None if value is None else to_text(value).partition(_separator(separator))[2]


@entry(TEXT_FILTERS, "substringAfterLast", parameters=("separator",), required=1)
def substring_after_last(value: Any, separator: Any = None) -> Any:
    if value is None:
        return None
    _, found, after = to_text(value).rpartition(_separator(separator))
    return after if found else ""


def _separator(value: Any) -> str:
    text = to_text(value)
    if not text:
        raise ExpressionFailed("The argument 'separator' must not be empty")
    return text


@entry(TEXT_FILTERS, "replace", parameters=("replace_pairs", "regexp"), required=1)
def replace(value: Any, pairs: Any = None, regexp: Any = None) -> Any:
    """Every pair in turn, in maps and lists too; with `regexp` Java regular expressions."""
    from orchestrator.lang.functions.javaregex import substitute

    if value is None:
        return None
    if not isinstance(pairs, Mapping):
        raise ExpressionFailed("The argument 'replace_pairs' of 'replace' must be a map")
    written = [(to_text(wanted), to_text(instead)) for wanted, instead in pairs.items()]

    def change(text: str) -> str:
        for wanted, instead in written:
            if regexp is True:
                text = substitute(wanted, instead, text)
            else:
                limits.text_within(len(text) + text.count(wanted) * len(instead))
                text = text.replace(wanted, instead)
        return text

    return through(value, change)


@entry(TEXT_FILTERS, "regexMatch", parameters=("regex",), required=1)
def regex_match(value: Any, pattern: Any = None) -> bool:
    """Whether a regular expression is found in a text; never in null."""
    from orchestrator.lang.functions.javaregex import found_in

    return value is not None and found_in(to_text(pattern), to_text(value)) is not None


@entry(TEXT_FILTERS, "regexExtract", parameters=("regex", "group"), required=1)
def regex_extract(value: Any, pattern: Any = None, group: Any = None) -> Any:
    """What a regular expression finds first, or one of its groups; null when it finds nothing."""
    from orchestrator.lang.functions.javaregex import found_in

    match = None if value is None else found_in(to_text(pattern), to_text(value))
    if match is None:
        return None
    number = 0 if group is None else whole("regexExtract", "group", group)
    try:
        return match.group(number)
    except IndexError:
        raise ExpressionFailed(f"The regular expression has no group {number}") from None


@entry(TEXT_FILTERS, "regexReplace", parameters=("regex", "replacement"), required=2)
def regex_replace(value: Any, pattern: Any = None, replacement: Any = None) -> Any:
    """Every match of a regular expression replaced; `$1` is its first group."""
    from orchestrator.lang.functions.javaregex import substitute

    return None if value is None else substitute(to_text(pattern), to_text(replacement), to_text(value))


@entry(TEXT_FILTERS, "split", parameters=("delimiter", "limit"), required=1)
def split(value: Any, delimiter: Any = None, limit: Any = None) -> Any:
    """The parts of a text between matches of a regular expression."""
    from orchestrator.lang.functions.javaregex import split as parts

    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong_input("split", "String", value)
    return parts(to_text(delimiter), value, 0 if limit is None else whole("split", "limit", limit))
