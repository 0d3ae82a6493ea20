"""Dates: formats, Java patterns both ways, moving, time zones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions import Renderer

RENDERER = Renderer()
CONTEXT: dict[str, Any] = {
    "z": datetime(2013, 9, 8, 16, 19, 12, 123456, tzinfo=timezone(timedelta(hours=1))),
    "i": datetime(2013, 9, 8, 15, 19, 12, tzinfo=UTC),
    "local": datetime(2013, 9, 8, 16, 19, 12, 123456),  # noqa: DTZ001 - a local date
    "day": date(2013, 9, 8),
    "epoch": 1378653552,
    "none": None,
}


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("z | date(timeZone='Europe/Paris')", "2013-09-08T17:19:12.123456+02:00"),
        ("i | date('iso_sec', timeZone='Europe/Paris')", "2013-09-08T17:19:12+02:00"),
        ("local | date(timeZone='Europe/Paris')", "2013-09-08T16:19:12.123456+02:00"),
        ("day | date('iso_sec', timeZone='UTC')", "2013-09-08T12:00:00Z"),
        ("epoch | date('sql', timeZone='UTC')", "2013-09-08 15:19:12.000000"),
        ("epoch | date('sql_seq', timeZone='+05:30')", "2013-09-08 20:49:12"),
        ("'2013-09-08T15:19:12Z' | date('iso_sec', timeZone='GMT-2')", "2013-09-08T13:19:12-02:00"),
        ("'2013-09-08T15:19' | date('iso_sec', timeZone='Europe/Paris')", "2013-09-08T15:19:00+02:00"),
        ("'2013-09-08' | date('iso_sec', timeZone='UTC')", "2013-09-08T00:00:00Z"),
        ("'2013-09-08T15:19:12+02:00[Europe/Paris]' | date('iso_zoned_date_time', timeZone='Europe/Paris')", "2013-09-08T15:19:12+02:00[Europe/Paris]"),
        ("z | date('iso_local_date', timeZone='UTC')", "2013-09-08"),
        ("z | date('iso_local_time', timeZone='UTC')", "15:19:12.123456"),
        ("i | date('iso_local_date_time', timeZone='UTC')", "2013-09-08T15:19:12"),
        ("i | date('iso_instant', timeZone='Asia/Tokyo')", "2013-09-08T15:19:12Z"),
        ("i | date('iso_ordinal_date', timeZone='UTC')", "2013-251Z"),
        ("i | date('iso_week_date', timeZone='UTC')", "2013-W36-7Z"),
        ("i | date('rfc_1123_date_time', timeZone='UTC')", "Sun, 8 Sep 2013 15:19:12 GMT"),
        ("i | date(\"EEEE d MMMM yyyy 'at' h:mm a\", timeZone='UTC')", "Sunday 8 September 2013 at 3:19 PM"),
        ("i | date('EEE d MMM yy', timeZone='UTC', locale='fr_FR')", "dim. 8 sept. 13"),
        ("z | date('SSS n XXX X Z xxx', timeZone='Europe/Paris')", "123 123456000 +02:00 +02 +0200 +02:00"),
        ("i | date('X Z xxx O VV', timeZone='UTC')", "Z +0000 +00:00 GMT UTC"),
        ("i | date(\"D Q kk KK ''\", timeZone='UTC')", "251 3 15 03 '"),
        ("'08/09/2013 03:19 PM' | date('iso_sec', existingFormat='dd/MM/yyyy hh:mm a', timeZone='UTC')", "2013-09-08T15:19:00Z"),
        ("'8 Sep 2013' | date('iso_local_date', existingFormat='d MMM yyyy', timeZone='UTC')", "2013-09-08"),
        ("'20130908' | date('iso_local_date', existingFormat='yyyyMMdd', timeZone='UTC')", "2013-09-08"),
        ("'2013-09-08' | date('iso_sec', existingFormat='yyyy-MM-dd[ HH:mm]', timeZone='UTC')", "2013-09-08T00:00:00Z"),
        ("'Tue, 08 Feb 2022 19:38:26 GMT' | date(existingFormat='rfc_1123_date_time', timeZone='Europe/Paris')", "2022-02-08T20:38:26.000000+01:00"),
        ("z | dateAdd(-1, 'DAYS', timeZone='Europe/Paris')", "2013-09-07T17:19:12.123456+02:00"),
        ("'2024-01-31' | dateAdd(1, 'MONTHS', 'yyyy-MM-dd', timeZone='UTC')", "2024-02-29"),
        ("'2024-02-29' | dateAdd(1, 'YEARS', 'yyyy-MM-dd', timeZone='UTC')", "2025-02-28"),
        ("i | dateAdd(90, 'MINUTES', 'HH:mm', timeZone='UTC')", "16:49"),
        ("'2024-03-30T12:00:00+01:00[Europe/Paris]' | dateAdd(1, 'DAYS', 'iso_sec', timeZone='Europe/Paris')", "2024-03-31T12:00:00+02:00"),
        ("z | timestamp", "1378653552"),
        ("z | timestampNano", "1378653552123456000"),
        ("z | timestampMicro", "1378653552000123456"),
        ("none | date", ""),
        ("(z | timestamp) > (z | dateAdd(-1, 'DAYS') | timestamp)", "true"),
    ],
)
def test_a_date_is_written(expression: str, text: str) -> None:
    assert RENDERER.render("{{ " + expression + " }}", CONTEXT) == text


def test_a_localised_style_names_the_day() -> None:
    assert RENDERER.render("{{ i | date('full', timeZone='UTC') }}", CONTEXT).startswith("Sunday, September 8, 2013")
    assert RENDERER.render("{{ i | date('full', timeZone='UTC', locale='de') }}", CONTEXT).startswith("Sonntag, 8. September 2013")


def test_now_is_now() -> None:
    before = datetime.now(UTC)
    shown = datetime.fromisoformat(RENDERER.render("{{ now(timeZone='Asia/Tokyo') }}", {}))
    assert before <= shown <= datetime.now(UTC)
    assert shown.utcoffset() == timedelta(hours=9)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("'soon' | date", "could not be parsed as a date"),
        ("true | date", "cannot be used as a date"),
        ("i | date('bb')", "Unknown pattern letter: b"),
        ('i | date("\'open")', "incomplete string literal"),
        ("i | date('yyyy]')", "without previous ["),
        ("i | date(timeZone='Nowhere/Land')", "Unknown time-zone ID: Nowhere/Land"),
        ("i | date(timeZone='../../etc/passwd')", "Unknown time-zone ID"),
        ("i | date('MMM', locale='xx_nope')", "Unknown locale"),
        ("'x' | date(existingFormat='yyyy')", "could not be parsed with the format"),
        ("'2013-02-30' | date(existingFormat='yyyy-MM-dd')", "is no date"),
        ("i | dateAdd(1, 'PARSECS')", "ChronoUnit.PARSECS"),
        ("i | dateAdd(99999999999, 'YEARS')", "cannot be moved"),
        ("99999999999999999 | date", "is no date in seconds"),
    ],
)
def test_what_is_no_date_is_refused(expression: str, problem: str) -> None:
    with pytest.raises(ExpressionFailed) as raised:
        RENDERER.render("{{ " + expression + " }}", CONTEXT)
    assert problem in str(raised.value)
