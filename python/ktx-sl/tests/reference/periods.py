"""The start of the period holding a date or timestamp."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def period_start(value: Any, granularity: str, week_start: str, fiscal_year_start: int) -> Any:
    """A date from `day` up, else a timestamp."""
    if value is None:
        return None
    unit = granularity.lower()
    if unit in ("second", "minute", "hour"):
        moment: datetime = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        moment = moment.replace(microsecond=0)
        if unit != "second":
            moment = moment.replace(second=0)
        return moment.replace(minute=0) if unit == "hour" else moment
    day: date = value.date() if isinstance(value, datetime) else value
    match unit:
        case "day":
            return day
        case "week":
            return day - timedelta(days=(day.weekday() - WEEKDAYS.index(week_start)) % 7)
        case "month":
            return day.replace(day=1)
        case "quarter":
            return date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
        case "year":
            return date(day.year, 1, 1)
        case "fiscal_quarter" | "fiscal_year":
            length = 12 if unit == "fiscal_year" else 3
            months = day.year * 12 + day.month - 1
            months -= (day.month - fiscal_year_start) % length
            return date(months // 12, months % 12 + 1, 1)
    raise ValueError(granularity)
