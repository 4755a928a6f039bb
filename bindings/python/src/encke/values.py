"""How values of Python become what the library takes: JSON payloads, option texts, milliseconds.

Knows no option by name: the library checks names and bounds, and its errors name both.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any, Dict, Iterable, List, Union

from .errors import Invalid

JSON = "application/json"

Seconds = Union[int, float, timedelta]
OptionValue = Union[str, int, bool, timedelta, "os.PathLike[str]", Iterable[str], None]

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

#: The longest wait that the library's 32 bits of milliseconds can say.
_MILLISECONDS_MAX = 0xFFFF_FFFF


def to_json(value: Any) -> bytes:
    """One line of JSON. What has no JSON form raises `TypeError` (an object), or `ValueError` (not a number)."""
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:
        raise Invalid("text with a lone surrogate has no UTF-8") from None


def seconds(time: Seconds) -> float:
    """A duration in seconds."""
    return time.total_seconds() if isinstance(time, timedelta) else float(time)


def milliseconds(time: Seconds) -> int:
    """A duration as the library's blocking calls take it: never less than was asked for, never negative."""
    exact = seconds(time) * 1000
    if exact != exact:
        raise ValueError("a duration must be a number")
    return max(0, min(_MILLISECONDS_MAX, int(-(-exact // 1)) if exact < _MILLISECONDS_MAX else _MILLISECONDS_MAX))


def options_json(options: Dict[str, OptionValue]) -> bytes:
    """The options that were given, as the JSON that the library starts with; `None` leaves an option at its default."""
    return to_json({name: _option(name, value) for name, value in options.items() if value is not None})


def _option(name: str, value: OptionValue) -> Union[str, int, bool, List[str]]:
    if isinstance(value, timedelta):
        return f"{milliseconds(value)}ms"
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        return [str(each) for each in value]
    raise TypeError(
        f"{name}: an option is text, a whole number, False, a timedelta or a list, not {type(value).__name__}"
    )
