"""A publisher in plain Python, over the control socket of a server in another process. Needs no native library.

What a stream does without threads, this does for all threads of a process, for its forked children, and to its end:

- one lock is around the stream;
- what the kernel had no room for is sent by a thread that lives for as long as there is any;
- a forked child begins with a stream of its own: what waits belongs to the parent;
- at the end of the process, what waits has a last chance.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from typing import Any, Iterable, List, Optional, Tuple

from . import frames
from .errors import Closed, Error, Full, Invalid, TimedOut
from .stream import Stream, rest
from .values import Seconds, seconds

#: How long the end of the process may be held up by messages that still wait.
_EXIT_SECONDS = 1.0


class Channel:
    """A channel of a publisher, which it keeps alive. Its calls are the publisher's, without a name."""

    __slots__ = ("_publisher", "name")

    def __init__(self, publisher: SocketPublisher, name: str) -> None:
        self._publisher = publisher
        self.name = name

    def publish(self, data: Any, *, event: Optional[str] = None, content_type: Optional[str] = None) -> None:
        """Publishes one message, as the publisher does."""
        self._publisher.publish(self.name, data, event=event, content_type=content_type)

    def publish_many(
        self, messages: Iterable[Any], *, event: Optional[str] = None, content_type: Optional[str] = None
    ) -> int:
        """Publishes a list of messages, as the publisher does."""
        return self._publisher.publish_many(self.name, messages, event=event, content_type=content_type)

    def __repr__(self) -> str:
        return f"<encke channel {self.name}>"


class SocketPublisher:
    """Publishes to the server whose control socket is at `address`: `unix:/run/encke.sock`.

    Connects at the first message, and again whenever the connection broke. Publishing never blocks: while the server
    cannot be reached or does not keep up, messages wait in a buffer of `buffer_bytes`, and when that is full,
    `publish` raises `Full`. `flush` is the barrier, and reports what did not arrive. Any thread may use a publisher,
    and so may a forked child, which opens a connection of its own.

    `message_bytes_max` should be the server's `body_bytes_max`: it ends a connection that sends more.
    """

    def __init__(self, address: str, *, buffer_bytes: int = 1 << 20, message_bytes_max: int = 1 << 20) -> None:
        scheme, _, path = address.partition(":")
        if scheme != "unix" or not path:
            raise Invalid(f"{address!r} is not an address (write unix:/run/encke.sock)")
        self._path = path
        self._buffer_bytes = buffer_bytes
        self._message_bytes_max = message_bytes_max
        self._closed = False
        self._begin()
        _publishers.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._stream = Stream(self._path, self._buffer_bytes)
        self._drainer: Optional[threading.Thread] = None

    # ---- publishing

    def publish(
        self, channel: str, data: Any, *, event: Optional[str] = None, content_type: Optional[str] = None
    ) -> None:
        """Publishes one message: str, bytes-like, or whatever has a JSON form. Never blocks; may raise `Full`."""
        frame = frames.message(channel, data, event, content_type, self._message_bytes_max)
        with self._lock:
            stream = self._stream
            if not stream.send_at_once(frame):
                self._check_open()
                if stream.take([frame], push=self._drainer is None) == 0:
                    raise Full(_because(f"{stream.unsent} messages wait already", stream))
            if stream.waits:
                self._drain_later()

    def publish_many(
        self,
        channel: str,
        messages: Iterable[Any],
        *,
        event: Optional[str] = None,
        content_type: Optional[str] = None,
    ) -> int:
        """Publishes a list of messages to one channel. Never blocks; returns how many, from the front, it took."""
        return self.publish_pairs(((channel, data) for data in messages), event=event, content_type=content_type)

    def publish_pairs(
        self, pairs: Iterable[Tuple[str, Any]], *, event: Optional[str] = None, content_type: Optional[str] = None
    ) -> int:
        """Publishes a list of pairs of channel and message. Never blocks; returns how many, from the front, it took."""
        ready: List[bytes] = []
        for pair in pairs:
            try:
                channel, data = pair
                ready.append(frames.message(channel, data, event, content_type, self._message_bytes_max))
            except (TypeError, ValueError):
                # What can never be taken raises once it is the first.
                if not ready:
                    raise
                break
        with self._lock:
            self._check_open()
            taken = self._stream.take(ready, push=self._drainer is None)
            if self._stream.waits:
                self._drain_later()
            return taken

    def channel(self, name: str) -> Channel:
        """A channel to publish to without naming it each time. What is wrong with its name is told when it is used."""
        return Channel(self, name)

    # ---- waiting and ending

    def flush(self, timeout: Seconds = 5.0) -> None:
        """Waits until the server has taken all that was published before.

        Raises `Unconfirmed` if it refused any of it, or if a connection broke while messages were on their way; and
        `TimedOut` if no answer came in time: then nothing is forgotten, and another flush may follow.
        """
        deadline = time.monotonic() + seconds(timeout)
        goal = None
        while True:
            with self._lock:
                self._check_open()
                stream = self._stream
                goal = stream.taken if goal is None else goal
                if stream.reach(goal):
                    unconfirmed = stream.report()
                    break
                pause = stream.pause()
                missing = goal - stream.confirmed
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(_because(f"{missing} messages are not confirmed", stream))
            rest(pause, left)
        if unconfirmed is not None:
            raise unconfirmed

    def close(self, timeout: Seconds = 5.0) -> None:
        """Flushes and disconnects. Whatever this raises, the publisher is closed after it."""
        if self._closed:
            return
        try:
            self.flush(timeout)
        finally:
            with self._lock:
                self._closed = True
                self._stream.disconnect()

    def __enter__(self) -> "SocketPublisher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<encke.SocketPublisher unix:{self._path}>"

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("it is closed")

    # ---- sending what waits when nobody publishes any more

    def _drain_later(self) -> None:
        if self._drainer is None:
            self._drainer = threading.Thread(target=self._drain, name="encke-drain", daemon=True)
            try:
                self._drainer.start()
            except RuntimeError:  # the interpreter is about to end: `_at_exit` has its turn
                self._drainer = None

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._closed:
                    self._stream.push()
                    self._stream.hear()
                if self._closed or not self._stream.waits:
                    self._drainer = None
                    return
                pause = self._stream.pause()
            rest(pause, float("inf"))

    # ---- other processes, and the end of this one

    def _leave_to_the_parent(self) -> None:
        """In a child: the parent's connection, messages and locks are the parent's."""
        self._stream.disconnect()
        self._begin()

    def _end(self) -> None:
        """Gives what waits a last chance, and says so if it was in vain."""
        if self._closed or not self._stream.waits:
            return
        try:
            self.close(_EXIT_SECONDS)
        except Error as error:
            print(f"{self!r}: at the end of the process, {error}", file=sys.stderr)


def _because(what: str, stream: Stream) -> str:
    return f"{what}: {stream.trouble}" if stream.trouble else what


_publishers: "weakref.WeakSet[SocketPublisher]" = weakref.WeakSet()


def _after_fork() -> None:
    for publisher in list(_publishers):
        publisher._leave_to_the_parent()


def _at_exit() -> None:
    for publisher in list(_publishers):
        publisher._end()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
