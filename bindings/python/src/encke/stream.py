"""One framed stream to a server, across all its connections: what waits, what was sent, what was confirmed.

```text
take -> [waiting: whole frames, bounded] -> kernel's buffer -> server
           ^ kept when a connection breaks    ^ in doubt when it breaks, unless an answer confirmed it
```
Messages are numbered as they are taken, and leave in that order. A number sent as a flush comes back once the server
has taken all messages up to it. So three counts tell where each message is: confirmed <= sent <= taken.

Never blocks, and knows neither threads nor forks: who uses it holds a lock.

Invariants:
- A frame whose last byte the kernel has is never sent again: nothing arrives twice. One that was cut is sent again,
  for a server drops what was cut.
- Every message ends as confirmed; those that were refused, or are in doubt, are counted until `report`.
"""

from __future__ import annotations

import collections
import itertools
import select
import socket
import time
from typing import Deque, List, Optional, Tuple, Union

from . import frames
from .errors import Unconfirmed

#: How much is handed to the kernel in one call.
_CHUNK_BYTES = 256 * 1024
#: After so many messages the server is asked to confirm them: it bounds what a broken connection leaves in doubt.
_UNASKED_MAX = 1024
#: How long to wait before connecting again: at first, and after many failures.
_RETRY_SECONDS_MIN, _RETRY_SECONDS_MAX = 0.02, 1.0
#: A broken pipe is an error, never a signal.
_SEND_FLAGS = getattr(socket, "MSG_NOSIGNAL", 0)

#: What to wait for: a descriptor and its poll events, or None and seconds.
Pause = Tuple[Optional[int], Union[int, float]]


class Stream:
    """The stream to the control socket at `path`, of which up to `buffer_bytes` may wait here."""

    def __init__(self, path: str, buffer_bytes: int) -> None:
        self._path = path
        self._buffer_bytes = buffer_bytes
        self.taken = 0
        self.confirmed = 0
        self._asked = 0  # up to which message the server was asked
        self._waiting: Deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self.unsent = 0  # how many of the waiting frames are messages
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
        self.trouble = ""  # why there is no connection

    # ---- taking

    def send_at_once(self, frame: bytes) -> bool:
        """The usual case, and the fast one: nothing waits, and the kernel has room. False: nothing was taken."""
        if self._waiting or self._socket is None or self.taken - self._asked >= _UNASKED_MAX:
            return False
        try:
            sent = self._socket.send(frame, _SEND_FLAGS)
        except OSError:  # full or broken: the other way finds out
            return False
        self.taken += 1
        if sent < len(frame):
            self._wait(frame)
            self.unsent += 1
            self._head_sent = sent
        return True

    def take(self, ready: List[bytes], push: bool = True) -> int:
        """Takes as many messages from the front as there is room for.

        Then, or where there is no room, sends what the kernel takes. Who knows that the kernel has no room, and will
        push when it has, spares the attempt.
        """
        taken = 0
        for frame in ready:
            if self._is_full(frame):
                self.push()
                if self._is_full(frame):
                    break
            if self.taken - self._asked >= _UNASKED_MAX:
                self._ask()
            self._wait(frame)
            self.unsent += 1
            self.taken += 1
            taken += 1
        if push:
            self.push()
        return taken

    def _is_full(self, frame: bytes) -> bool:
        """One message may always wait, however long it is."""
        return bool(self._waiting) and self._waiting_bytes + len(frame) > self._buffer_bytes

    def _wait(self, frame: bytes) -> None:
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)

    # ---- sending

    @property
    def waits(self) -> bool:
        """Whether anything is still to be sent."""
        return bool(self._waiting)

    def push(self) -> None:
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
                # Answers that came before the break confirm some of what it leaves in doubt.
                self.hear()
                if self._socket is connection:
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
        self.unsent -= was_message
        return was_message

    # ---- asking and hearing

    def reach(self, goal: int) -> bool:
        """Whether all messages up to `goal` are accounted for; does what can be done now to get there."""
        if self._asked < goal:
            self._ask()
        self.push()
        self.hear()
        return self.confirmed >= goal

    def _ask(self) -> None:
        """Asks the server to confirm what was taken until now; the answer is heard whenever it comes."""
        self.hear()
        self._asked = self.taken
        self._wait(frames.flush(self.taken))

    def hear(self) -> None:
        """Takes the answers that are there."""
        while self._socket is not None:
            try:
                received = self._socket.recv(1 << 16)
                for answer in self._answers.feed(received):
                    self.confirmed = max(self.confirmed, answer.number)
                    self._refused += answer.refused
                    self._reason = self._reason or answer.reason
            except BlockingIOError:
                return
            except (OSError, ValueError) as error:
                self._broke(str(error))
            else:
                if not received:
                    self._broke("the server closed it")

    def report(self) -> Optional[Unconfirmed]:
        """What did not arrive, or may not have, since the last report."""
        refused, doubtful, reason = self._refused, self._doubtful, self._reason
        self._refused = self._doubtful = 0
        self._reason = ""
        parts = []
        if refused:
            parts.append(f"{refused} were refused, the first for {reason or 'no reason given'}")
        if doubtful:
            parts.append(f"{doubtful} may not have arrived, because the connection broke")
        if not parts:
            return None
        return Unconfirmed("messages since the last flush: " + "; ".join(parts), refused, doubtful)

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
            self.trouble = f"{self._path}: {error}"
            self._retry_at = now + self._retry_after
            self._retry_after = min(2 * self._retry_after, _RETRY_SECONDS_MAX)
            return None
        self._socket = connection
        self._connected_at = now
        self._retry_after = _RETRY_SECONDS_MIN
        self.trouble = ""
        return connection

    def _broke(self, why: str) -> None:
        """Accounts for a connection that broke: what the kernel had taken and no answer confirmed is in doubt."""
        self.disconnect()
        self.trouble = f"{self._path}: the connection broke: {why}"
        self._retry_at = self._connected_at + _RETRY_SECONDS_MIN
        doubtful = self.taken - self.unsent - self.confirmed
        if self._head_sent and self._head_was_cut:
            # Twice is no accident: it is longer than the server allows, and would break every connection.
            doubtful += self._drop_head()
        elif self._head_sent:
            self._head_was_cut = True
        self._head_sent = 0
        self._doubtful += doubtful
        self.confirmed += doubtful
        self._asked = self.confirmed

    def disconnect(self) -> None:
        """Closes the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._answers = frames.Answers()

    def pause(self) -> Pause:
        """What to wait for before it makes sense to go on."""
        if self._socket is None:
            return None, self._retry_at - time.monotonic()
        return self._socket.fileno(), select.POLLIN | (select.POLLOUT if self._waiting else 0)


def rest(pause: Pause, seconds_max: float) -> None:
    """Waits for what `pause` says. A descriptor that was closed meanwhile ends the wait, too."""
    descriptor, what = pause
    longest = min(seconds_max, _RETRY_SECONDS_MAX)
    if descriptor is None:
        time.sleep(max(0.0, min(what, longest)))
        return
    poll = select.poll()
    poll.register(descriptor, int(what))
    poll.poll(longest * 1000)
