"""Java's DateTimeFormatter patterns: `yyyy-MM-dd'T'HH:mm[:ss]` printed and parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.javatext import offset_text
from orchestrator.lang.functions.zones import placed_in, zone

_LETTERS = "GuyYDMLdQqwWEecaAhKkHmsSnNVzOXxZ"
_PIECE = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|([\[\]])|([^A-Za-z'\[\]]+)")


@dataclass(frozen=True)
class Piece:
    """One part of a pattern: a field (`letter`, `count`), a text, or a bracket of an optional section."""

    letter: str = ""
    count: int = 0
    text: str = ""
    bracket: str = ""


@lru_cache(maxsize=512)
def pieces_of(pattern: str) -> tuple[Piece, ...]:
    """The parts of a pattern. Raises ExpressionFailed for letters that mean nothing and brackets that do not match."""
    found: list[Piece] = []
    at = depth = 0
    while at < len(pattern):
        part = _PIECE.match(pattern, at)
        if part is None:
            raise ExpressionFailed(f"Pattern ends with an incomplete string literal: {pattern}")
        at = part.end()
        if part.group(2):
            if part.group(2) not in _LETTERS or len(part.group()) > 19:
                raise ExpressionFailed(f"Unknown pattern letter: {part.group(2)}")
            found.append(Piece(part.group(2), len(part.group())))
        elif part.group(3):
            depth += 1 if part.group(3) == "[" else -1
            found.append(Piece(bracket=part.group(3)))
        else:
            found.append(Piece(text=part.group(4) or (part.group(1) or "'").replace("''", "'")))
        if depth < 0:
            raise ExpressionFailed("Pattern invalid as it contains ] without previous [")
    return (*found, *[Piece(bracket="]")] * depth)


def format_date(at: datetime, pattern: str, locale: str | None) -> str:
    """An aware date in a pattern; `locale` (`fr_FR`) is for names of months and days. Raises ExpressionFailed."""
    return "".join(piece.text or (_field(at, piece, locale) if piece.letter else "") for piece in pieces_of(pattern))


# ---- printing ------------------------------------------------------------------------------


def _field(at: datetime, piece: Piece, locale: str | None) -> str:
    letter, count = piece.letter, piece.count
    if letter in "MLEecaGQq" and (count > 2 or letter in "aGE"):
        return _name(at, letter, count, locale)
    if letter in "XxZVzO":
        return _zone(at, letter, count, locale)
    if letter in "SAnN":
        return _fraction(at, letter, count)
    if letter in "uyY":
        year = _week_year(at) if letter == "Y" else at.year
        return f"{year % 100:02d}" if count == 2 else str(year).zfill(count)
    return str(_number(at, letter)).zfill(count)


def _number(at: datetime, letter: str) -> int:
    hour = at.hour
    numbers = {
        "M": at.month, "L": at.month, "d": at.day, "D": at.timetuple().tm_yday, "Q": (at.month + 2) // 3, "q": (at.month + 2) // 3,
        "H": hour, "k": hour or 24, "K": hour % 12, "h": hour % 12 or 12, "m": at.minute, "s": at.second,
        "e": at.isoweekday() % 7 + 1, "c": at.isoweekday() % 7 + 1, "w": _week(at), "W": (at.day + date(at.year, at.month, 1).isoweekday() % 7 + 6) // 7,
    }  # fmt: skip
    return numbers[letter]


def _week(at: datetime) -> int:
    """The week of the week-based year as in the United States: from Sunday, the first holds January 1st."""
    if _week_year(at) != at.year:
        return 1
    return (at.timetuple().tm_yday + date(at.year, 1, 1).isoweekday() % 7 + 6) // 7


def _week_year(at: datetime) -> int:
    saturday = at.date() + timedelta(days=6 - at.isoweekday() % 7)
    return saturday.year


def _fraction(at: datetime, letter: str, count: int) -> str:
    if letter == "S":
        return f"{at.microsecond:06d}".ljust(count, "0")[:count]
    since = (at.hour * 3600 + at.minute * 60 + at.second) * 10**6 + at.microsecond
    return str({"n": at.microsecond * 1000, "N": since * 1000, "A": since // 1000}[letter]).zfill(count)


def _name(at: datetime, letter: str, count: int, locale: str | None) -> str:
    quarter = (at.month + 2) // 3
    if letter == "a":
        return "AM" if at.hour < 12 else "PM"
    if letter == "G":
        return "Anno Domini" if count == 4 else "A" if count == 5 else "AD"
    if letter in "Qq":
        return {3: f"Q{quarter}", 4: f"{('1st', '2nd', '3rd', '4th')[quarter - 1]} quarter"}.get(count, str(quarter))
    width = {4: "wide", 5: "narrow"}.get(count, "abbreviated")
    names = month_names(locale, width) if letter in "ML" else day_names(locale, width)
    return names[at.month - 1 if letter in "ML" else at.weekday()]


def month_names(locale: str | None, width: str) -> list[str]:
    """January to December."""
    if not _is_english(locale):
        found = _babel(locale).months["format"][width]
        return [found[number] for number in range(1, 13)]
    return [_cut(name, width) for name in _MONTHS]


def day_names(locale: str | None, width: str) -> list[str]:
    """Monday to Sunday."""
    if not _is_english(locale):
        found = _babel(locale).days["format"][width]
        return [found[number] for number in range(7)]
    return [_cut(name, width) for name in _DAYS]


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _cut(name: str, width: str) -> str:
    return name if width == "wide" else name[:1] if width == "narrow" else name[:3]


def _is_english(locale: str | None) -> bool:
    return not locale or locale.replace("-", "_").split("_")[0].lower() == "en"


def _babel(locale: str | None) -> Any:
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse((locale or "en").replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError):
        raise ExpressionFailed(f"Unknown locale: {locale}") from None


def localized(at: datetime, style: str, locale: str | None) -> str:
    """A date and time in one of the styles full, long, medium, short."""
    from babel.dates import format_datetime

    return format_datetime(at, style, locale=_babel(locale or "en_US"))


def _zone(at: datetime, letter: str, count: int, locale: str | None) -> str:
    offset = offset_text(at.utcoffset())
    if letter in "Vz":
        key = at.tzinfo.key if isinstance(at.tzinfo, ZoneInfo) else offset
        return key if letter == "V" else ((at.tzname() or key) if isinstance(at.tzinfo, ZoneInfo) else offset)
    plus = "+00:00" if offset == "Z" else offset
    if letter == "O" or (letter == "Z" and count == 4):
        return "GMT" if offset == "Z" else "GMT" + (offset if count == 4 else re.sub(r"([+-])0?(\d+)(:00)?", r"\1\2", offset, count=1))
    if letter == "Z":
        return plus.replace(":", "") if count < 4 else offset
    if letter == "X" and offset == "Z":
        return "Z"
    return {1: plus[:3] + ("" if plus[4:6] == "00" else plus[4:6]), 2: plus[:6].replace(":", ""), 3: plus[:6], 4: plus.replace(":", "")}.get(count, plus)


# ---- parsing -------------------------------------------------------------------------------

_WIDTHS = {"D": 3, "y": 4, "u": 4, "n": 9, "N": 14, "A": 8}


def _expression(pieces: tuple[Piece, ...], locale: str | None) -> tuple[str, list[str]]:
    """A regular expression with one group per field, and the letters of the groups."""
    written, letters = [], []
    for place, piece in enumerate(pieces):
        if piece.bracket:
            written.append("(?:" if piece.bracket == "[" else ")?")
        elif piece.text:
            written.append(re.escape(piece.text))
        else:
            follows_digit = place + 1 < len(pieces) and pieces[place + 1].letter != ""
            written.append(f"({_field_expression(piece, follows_digit, locale)})")
            letters.append(piece.letter + ("n" if piece.letter in "MLEec" and piece.count > 2 else "2" if piece.letter in "uy" and piece.count == 2 else ""))
    return "".join(written), letters


def _field_expression(piece: Piece, adjacent: bool, locale: str | None) -> str:
    letter, count = piece.letter, piece.count
    if letter in "MLEec" and (count > 2 or letter == "E"):
        width = {4: "wide", 5: "narrow"}.get(count, "abbreviated")
        return "|".join(map(re.escape, (month_names if letter in "ML" else day_names)(locale, width)))
    fixed = {"a": "[AaPp][Mm]", "G": "AD|BC", "V": r"[\w/+:-]+", "z": r"[\w/+:-]+", "O": r"GMT(?:[+-][\d:]+)?"}
    if letter in fixed:
        return fixed[letter]
    if letter in "XxZ":
        return r"[Zz]|GMT|[+-]\d\d:?(?:\d\d)?(?::?\d\d)?|GMT[+-][\d:]+"
    if letter == "S" or (count == 2 and letter in "uy"):
        return rf"\d{{{count}}}"
    if letter in "uy":
        return rf"[+-]?\d{{{count},{count if adjacent else max(count, 9)}}}"
    return rf"\d{{{count}}}" if count > 1 or adjacent else rf"\d{{1,{_WIDTHS.get(letter, 2)}}}"


@lru_cache(maxsize=256)
def _reader(pattern: str, locale: str | None) -> tuple[re.Pattern[str], list[str]]:
    expression, letters = _expression(pieces_of(pattern), locale)
    return re.compile(expression), letters


def parse_date(text: str, pattern: str, place: tzinfo | None, locale: str | None) -> datetime:
    """An aware date from text in a pattern; where it has no zone it is taken in `place`, where it has no time from the day's start.

    Raises ExpressionFailed.
    """
    expression, letters = _reader(pattern, locale)
    found = expression.fullmatch(text.strip())
    if found is None:
        raise ExpressionFailed(f"Text '{text[:200]}' could not be parsed with the format `{pattern}`")
    given = {letter: value for letter, value in zip(letters, found.groups(), strict=True) if value is not None}
    try:
        local = datetime.combine(_day(given, locale), _time(given))
    except (ValueError, OverflowError) as problem:
        raise ExpressionFailed(f"Text '{text[:200]}' is no date: {problem}") from problem
    for letter in "VzXxZO":
        if letter in given:
            return local.replace(tzinfo=zone("Z" if given[letter] == "GMT" else given[letter].upper() if letter in "XxZO" else given[letter]))
    return placed_in(local, place)


def _day(given: dict[str, str], locale: str | None) -> date:
    year = next((int(given[letter]) for letter in "uy" if letter in given), None)
    if year is None:
        short = given.get("u2", given.get("y2"))
        year = 2000 + int(short) if short is not None else 1970
    if "D" in given:
        return date(year, 1, 1) + timedelta(days=int(given["D"]) - 1)
    return date(year, _month(given, locale), int(given.get("d", 1)))


def _month(given: dict[str, str], locale: str | None) -> int:
    for letter in "ML":
        if letter in given:
            return int(given[letter])
        if name := given.get(letter + "n"):
            return next(names.index(name) + 1 for names in (month_names(locale, width) for width in ("wide", "abbreviated", "narrow")) if name in names)
    return 1


def _time(given: dict[str, str]) -> time:
    hour = int(given.get("H", 0)) if "k" not in given else int(given["k"]) % 24
    if "h" in given or "K" in given:
        hour = int(given.get("h", given.get("K", "0"))) % 12 + (12 if given.get("a", "").lower() == "pm" else 0)
    micros = int(given["S"].ljust(6, "0")[:6]) if "S" in given else int(given.get("n", 0)) // 1000
    if "N" in given or "A" in given:
        since = int(given["N"]) // 1000 if "N" in given else int(given["A"]) * 1000
        return (datetime.combine(date(1970, 1, 1), time()) + timedelta(microseconds=since)).time()
    return time(hour, int(given.get("m", 0)), int(given.get("s", 0)), micros)
