"""A publisher over the control socket, by the native library: the calls of a `Server`, the server elsewhere."""

from __future__ import annotations

from typing import Callable

from . import _native
from .errors import Closed, Invalid, Unconfirmed
from .values import Seconds, milliseconds


class NativePublisher(_native.Handle):
    """Publishes to the server whose control socket is at `address`: `unix:/run/encke.sock`.

    Connects at once, and again whenever the connection broke. Any thread may use it, and so may a forked child.
    """

    def __init__(self, address: str) -> None:
        self._name = address
        self._connect(address.encode())

    def flush(self, timeout: Seconds = 5.0) -> None:
        """Waits until the server has taken all that was published before. Other threads run meanwhile.

        Raises `Unconfirmed` if it refused any of it, or if a connection broke while messages were on their way, and
        `TimedOut` if no answer came in time.
        """
        self._settle(self._flush, timeout)

    def close(self, timeout: Seconds = 5.0) -> None:
        """Flushes and disconnects. Whatever this raises, the publisher is closed after it."""
        if self._is_open:
            self._settle(self._stop, timeout)

    def _settle(self, wait: Callable[[int], None], timeout: Seconds) -> None:
        """Tells what a connection could not do from what its caller did wrong."""
        was_open = self._is_open
        try:
            wait(milliseconds(timeout))
        except (Closed, Invalid) as error:
            if not was_open:
                raise
            unconfirmed = Unconfirmed(error.message)
            unconfirmed.code = error.code
            raise unconfirmed from None

    def __enter__(self) -> "NativePublisher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<encke.NativePublisher {self._name}>"
