"""What can go wrong, one exception a code of the C ABI.

Codes are stable numbers; a text is for people. Each class also is the built-in exception a caller would expect
(`ValueError`, `TimeoutError`), so that code which knows nothing of Encke still catches the right thing.
"""

from __future__ import annotations

from typing import Dict, Optional, Type


class Error(Exception):
    """Something of Encke failed. `code` is the number of the C ABI, `message` says what happened."""

    code: int = 0

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Full(Error):
    """No room for the message now: nothing of it was taken. Flush, or try again later."""

    code = -11


class Closed(Error):
    """It was stopped or closed before."""

    code = -32


class Forked(Error):
    """The server belongs to the parent process: after a fork, its child cannot use it."""

    code = -10


class Invalid(Error, ValueError):
    """An argument that can never be taken: a bad channel name, text that is no UTF-8, a message that is too long."""

    code = -22


class ConfigError(Error, ValueError):
    """An option that does not exist or has a value out of its bounds; the text names it."""

    code = -78


class TimedOut(Error, TimeoutError):
    """The time given was not enough."""

    code = -110


class SystemFailure(Error):
    """The operating system refused something: an address in use, no descriptors left."""

    code = -5


class Panicked(Error):
    """A fault in the library itself. The server can only be stopped now."""

    code = -99


class Unconfirmed(Error):
    """A flush through the control socket found messages that did not arrive, or may not have.

    `refused` were turned down by the server. `doubtful` were on their way when the connection broke: each of them
    arrived once or not at all. Either is None where the library gives no number.
    """

    code = -22

    def __init__(self, message: str, refused: Optional[int] = None, doubtful: Optional[int] = None) -> None:
        super().__init__(message)
        self.refused = refused
        self.doubtful = doubtful


_CLASSES = (Full, Closed, Forked, Invalid, ConfigError, TimedOut, SystemFailure, Panicked)
BY_CODE: Dict[int, Type[Error]] = {each.code: each for each in _CLASSES}


def from_code(code: int, message: str) -> Error:
    """The exception for a code of the C ABI; the extension module calls this."""
    error = BY_CODE.get(code, Error)(message)
    error.code = code
    return error
