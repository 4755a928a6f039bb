"""Waiting for what must become true, and failing loudly when it does not."""

from __future__ import annotations

import threading
import time
from typing import Callable, TypeVar

T = TypeVar("T")

#: What anything may take on a busy machine.
SECONDS = 30.0


def until(what: str, condition: Callable[[], T], seconds: float = SECONDS) -> T:
    """What `condition` returns once it is true; looked at again and again."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(0.005)
