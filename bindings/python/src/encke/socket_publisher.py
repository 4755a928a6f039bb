"""A publisher in plain Python, over the control socket of a server in another process. Needs no native library.

```text
publish -> [waiting: whole frames, bounded] -> kernel's buffer -> server
              ^ kept when a connection breaks    ^ in doubt when it breaks, unless an answer confirmed it
```
Messages are numbered as they are taken, and leave in that order; a number sent as a flush comes back once the server
has taken all messages up to it. So three counts tell where each message is: confirmed <= sent <= taken.

Invariants, all under one lock:
- A frame whose last byte the kernel has is never sent again: nothing arrives twice. One that was cut is sent again,
  for a server drops what was cut.
- Every message ends as confirmed, and those that did not arrive, or may not have, are counted for the next `flush`.
- A forked child begins with nothing: what waits belongs to the parent.
"""

from __future__ import annotations

import atexit
import collections
import itertools
import logging
import os
import select
import socket
import sys
import threading
import time
import weakref
from typing import Any, Deque, Iterable, List, Optional, Tuple, Union

from . import frames
from .errors import Closed, Error, Full, Invalid, TimedOut, Unconfirmed
from .values import Seconds, milliseconds, seconds

_log = logging.getLogger("encke")

#: How much is handed to the kernel in one call.
_CHUNK_BYTES = 256 * 1024
#: After so many messages the server is asked to confirm them, which bounds how many a broken connection leaves in doubt.
_UNASKED_MAX = 1024
#: How long to wait before connecting again: at first, and after many failures.
_RETRY_SECONDS_MIN, _RETRY_SECONDS_MAX = 0.02, 1.0
#: How long the end of the process may be held up by messages that still wait.
_EXIT_SECONDS = 1.0
#: A broken pipe is an error, never a signal.
_SEND_FLAGS = getattr(socket, "MSG_NOSIGNAL", 0)

#: What a waiting thread watches: a descriptor and its poll events, or None and a time to sleep.
_Pause = Tuple[Optional[int], Union[int, float]]


class SocketPublisher:
    """Publishes to the server whose control socket is at `address`: `unix:/run/encke.sock`.

    Connects at the first message, and again whenever the connection broke. Publishing never blocks: while the server
    cannot be reached or does not keep up, messages wait in a buffer of `buffer_bytes`, and when that is full,
    `publish` raises `Full`. `flush` is the barrier, and reports what did not arrive. Any thread may use a publisher, and
    so may a forked child, which opens a connection of its own.

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
        """The state of one that has published nothing."""
        self._lock = threading.Lock()
        self._drainer: Optional[threading.Thread] = None
        self._taken = 0
        self._confirmed = 0
        self._asked = 0  # up to which message the server was asked
        self._waiting: Deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._unsent = 0  # how many of the waiting frames are messages
        self._head_sent = 0  # how much of the first waiting frame the kernel has
        self._head_was_cut = False
        self._refused = 0
        self._doubtful = 0
        self._reason = ""  # of the first refusal
        self._socket: Optional[socket.socket] = None
        self._answers = frames.Answers()
        self._connected_at = 0.0
        self._retry_at = 0.0
        self._retry_after = _RETRY_SECONDS_MIN
        self._trouble = ""  # why there is no connection

    # ---- publishing

    def publish(self, channel: str, data: Any, *, event: Optional[str] = None, content_type: Optional[str] = None) -> None:
        """Publishes one message: str, bytes-like, or whatever has a JSON form. Never blocks; raises `Full` without room."""
        frame = frames.message(channel, data, event, content_type, self._message_bytes_max)
        with self._lock:
            if not self._send_at_once(frame) and self._take([frame]) == 0:
                raise Full(self._because(f"{self._unsent} messages wait already"))

    def publish_many(
        self,
        channel: str,
        messages: Iterable[Any],
        *,
        event: Optional[str] = None,
        content_type: Optional[str] = None,
    ) -> int:
        """Publishes a list of messages to one channel. Never blocks; returns how many, from the front, were taken."""
        return self.publish_pairs(((channel, data) for data in messages), event=event, content_type=content_type)

    def publish_pairs(
        self, pairs: Iterable[Tuple[str, Any]], *, event: Optional[str] = None, content_type: Optional[str] = None
    ) -> int:
        """Publishes a list of pairs of channel and message. Never blocks; returns how many, from the front, were taken."""
        ready: List[bytes] = []
        for channel, data in pairs:
            try:
                ready.append(frames.message(channel, data, event, content_type, self._message_bytes_max))
            except (TypeError, ValueError):
                # What can never be taken raises once it is the first.
                if not ready:
                    raise
                break
        with self._lock:
            return self._take(ready)

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
                goal = self._taken if goal is None else goal
                if self._reach(goal):
                    return self._report()
                pause = self._pause()
            rest = deadline - time.monotonic()
            if rest <= 0:
                raise TimedOut(self._because(f"{goal - self._confirmed} messages are not confirmed"))
            _rest(pause, rest)

    def close(self, timeout: Seconds = 5.0) -> None:
        """Flushes and disconnects. Whatever this raises, the publisher is closed after it."""
        if self._closed:
            return
        try:
            self.flush(timeout)
        finally:
            with self._lock:
                self._closed = True
                self._waiting.clear()
                self._disconnect()

    def __enter__(self) -> "SocketPublisher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<encke.SocketPublisher unix:{self._path}>"

    def _because(self, what: str) -> str:
        return f"{what}: {self._trouble}" if self._trouble else what

    # ---- taking and sending; the lock is held from here on

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("it is closed")

    def _send_at_once(self, frame: bytes) -> bool:
        """The usual case, and the fast one: nothing waits, and the kernel has room for the whole frame."""
        if self._waiting or self._socket is None or self._taken - self._asked >= _UNASKED_MAX:
            return False
        try:
            sent = self._socket.send(frame, _SEND_FLAGS)
        except OSError:  # full or broken: the other way finds out
            return False
        self._taken += 1
        if sent < len(frame):
            self._wait(frame)
            self._unsent += 1
            self._head_sent = sent
            self._drain_later()
        return True

    def _take(self, ready: List[bytes]) -> int:
        """Takes as many messages as there is room for, and sends what the kernel has room for."""
        self._check_open()
        taken = 0
        for frame in ready:
            if self._is_full(frame):
                self._push()
                if self._is_full(frame):
                    break
            if self._taken - self._asked >= _UNASKED_MAX:
                self._ask()
            self._wait(frame)
            self._unsent += 1
            self._taken += 1
            taken += 1
        self._push()
        if self._waiting:
            self._drain_later()
        return taken

    def _is_full(self, frame: bytes) -> bool:
        """One message may always wait, however long it is."""
        return bool(self._waiting) and self._waiting_bytes + len(frame) > self._buffer_bytes

    def _wait(self, frame: bytes) -> None:
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)

    def _push(self) -> None:
        """Hands the kernel what it takes of the waiting frames."""
        while self._waiting:
            connection = self._socket or self._connect()
            if connection is None:
                return
            try:
                sent = connection.send(self._chunk(), _SEND_FLAGS)
            except BlockingIOError:
                return
            except OSError as error:
                self._broke(str(error))
            else:
                self._advance(sent)

    def _chunk(self) -> memoryview:
        """The first waiting bytes, in one piece."""
        head = self._waiting[0]
        if len(self._waiting) > 1 and len(head) < _CHUNK_BYTES:
            sizes = itertools.accumulate(map(len, self._waiting))
            count = sum(1 for _ in itertools.takewhile(lambda size: size < _CHUNK_BYTES, sizes)) + 1
            head = b"".join(itertools.islice(self._waiting, count))
        return memoryview(head)[self._head_sent :]

    def _advance(self, sent: int) -> None:
        self._head_sent += sent
        while self._waiting and self._head_sent >= len(self._waiting[0]):
            self._head_sent -= len(self._waiting[0])
            self._drop_head()

    def _drop_head(self) -> bool:
        """Whether it was a message."""
        frame = self._waiting.popleft()
        self._waiting_bytes -= len(frame)
        self._head_was_cut = False
        was_message = frames.is_message(frame)
        self._unsent -= was_message
        return was_message

    # ---- asking and hearing

    def _reach(self, goal: int) -> bool:
        """Whether all messages up to `goal` are accounted for; does what can be done now to get there."""
        if self._asked < goal:
            self._ask()
        self._push()
        self._hear()
        return self._confirmed >= goal

    def _ask(self) -> None:
        """Asks the server to confirm what was taken until now; the answer is heard whenever it comes."""
        self._hear()
        self._asked = self._taken
        self._wait(frames.flush(self._taken))

    def _hear(self) -> None:
        while self._socket is not None:
            try:
                received = self._socket.recv(1 << 16)
                for answer in self._answers.feed(received):
                    self._confirmed = max(self._confirmed, answer.number)
                    self._refused += answer.refused
                    self._reason = self._reason or answer.reason
            except BlockingIOError:
                return
            except (OSError, ValueError) as error:
                self._broke(str(error))
            else:
                if not received:
                    self._broke("the server closed it")

    def _report(self) -> None:
        refused, doubtful, reason = self._refused, self._doubtful, self._reason
        self._refused = self._doubtful = 0
        self._reason = ""
        if not refused and not doubtful:
            return
        parts = []
        if refused:
            parts.append(f"{refused} were refused, the first for {reason or 'no reason given'}")
        if doubtful:
            parts.append(f"{doubtful} may not have arrived, because the connection broke")
        raise Unconfirmed("messages since the last flush: " + "; ".join(parts), refused, doubtful)

    # ---- connecting

    def _connect(self) -> Optional[socket.socket]:
        """The new connection, if it is time to try and succeeds. A Unix socket answers at once."""
        now = time.monotonic()
        if now < self._retry_at:
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(self._path)
            connection.send(frames.PREFACE, _SEND_FLAGS)
        except OSError as error:
            connection.close()
            self._trouble = f"{self._path}: {error}"
            self._retry_at = now + self._retry_after
            self._retry_after = min(2 * self._retry_after, _RETRY_SECONDS_MAX)
            return None
        self._socket = connection
        self._connected_at = now
        self._retry_after = _RETRY_SECONDS_MIN
        self._trouble = ""
        return connection

    def _broke(self, why: str) -> None:
        """Accounts for a connection that broke: what the kernel had taken and no answer confirmed is in doubt."""
        self._disconnect()
        self._trouble = f"{self._path}: the connection broke: {why}"
        self._retry_at = self._connected_at + _RETRY_SECONDS_MIN
        doubtful = self._taken - self._unsent - self._confirmed
        if self._head_sent and self._head_was_cut:
            # Twice is no accident: it is longer than the server allows, and would break every connection.
            doubtful += self._drop_head()
        elif self._head_sent:
            self._head_was_cut = True
        self._head_sent = 0
        self._doubtful += doubtful
        self._confirmed += doubtful
        self._asked = self._confirmed
        if doubtful:
            _log.warning("%s; %d messages may not have arrived", self._trouble, doubtful)

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._answers = frames.Answers()

    # ---- sending what waits when nobody publishes any more

    def _pause(self) -> _Pause:
        """What to wait for before it makes sense to go on."""
        if self._socket is None:
            return None, self._retry_at - time.monotonic()
        return self._socket.fileno(), select.POLLIN | (select.POLLOUT if self._waiting else 0)

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
                self._push()
                self._hear()
                if not self._waiting:
                    self._drainer = None
                    return
                pause = self._pause()
            _rest(pause, _RETRY_SECONDS_MAX)

    def _forked(self) -> None:
        """Leaves to the parent what is the parent's: its connection, its messages, its locks."""
        self._disconnect()
        self._begin()


def _rest(pause: _Pause, seconds_max: float) -> None:
    """Waits for what `pause` says. A descriptor that was closed meanwhile ends the wait, too."""
    descriptor, what = pause
    if descriptor is None:
        time.sleep(max(0.0, min(what, seconds_max)))
        return
    poll = select.poll()
    poll.register(descriptor, int(what))
    poll.poll(milliseconds(min(seconds_max, _RETRY_SECONDS_MAX)))


_publishers: "weakref.WeakSet[SocketPublisher]" = weakref.WeakSet()


def _after_fork() -> None:
    for publisher in list(_publishers):
        publisher._forked()


def _at_exit() -> None:
    """Gives what still waits a last chance, and says so if it was in vain."""
    for publisher in list(_publishers):
        if publisher._waiting:
            try:
                publisher.close(_EXIT_SECONDS)
            except Error as error:
                print(f"{publisher!r}: at the end of the process, {error}", file=sys.stderr)


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
