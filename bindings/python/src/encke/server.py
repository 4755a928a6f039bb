"""A server in this process, and the events it has for its host.

The server runs on threads of its own, which never enter the interpreter: what the host must hear waits in a queue
until the host takes it, by `events` (blocking) or `aevents` (asyncio).

Invariant: whoever waits for events watches duplicates of the descriptors, so a `stop` on another thread wakes it and
never pulls a descriptor from under it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import threading
import time
import warnings
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional, Tuple

from . import _native
from .errors import Closed
from .event import Event
from .values import OptionValue, Seconds, milliseconds, options_json, seconds

#: So many events in a row, then other tasks of the event loop have a turn.
_EVENTS_A_TURN = 64

#: What a poll can be told to wait at the most; it is called again until the time is over.
_POLL_MS_MAX = 60_000


class Server(_native.Handle):
    """A running server; `with Server(...) as server:` stops it at the end.

    Options are those of `encke serve --help` with underscores, and those of a host: `judge`, `judge_timeout`,
    `judge_default`, `host_channels`, `events`, `events_max`, `control_mode`. A value is text (`"25s"`, `"1MiB"`), a
    whole number, `False` for off, a `timedelta`, a path, or a list of texts. `None` is the default.

    The same options again in one process are the same server; it runs until each of its objects has been stopped.
    Any thread may use a server. After a fork it belongs to the parent; the child gets `Forked`, or with the option
    `control` publishes through that socket.
    """

    def __init__(self, listen: OptionValue = None, **options: OptionValue) -> None:
        self._closing = threading.Lock()
        self._farewell: Optional[Tuple[int, int]] = None
        self._start(options_json({"listen": listen, **options}))
        self._farewell = os.pipe()

    # ---- what it is

    @property
    def address(self) -> str:
        """Where the public connects: `127.0.0.1:8080`; the first, if there are several."""
        first: str = self.addresses["public"][0]
        return first

    @property
    def addresses(self) -> Dict[str, Any]:
        """All addresses: `public` and `private` are lists, `control` is a path or None."""
        addresses: Dict[str, Any] = json.loads(self._address())
        return addresses

    def stats(self) -> Dict[str, int]:
        """Counters, by name."""
        counters: Dict[str, int] = json.loads(self._stats())
        return counters

    def reload(self, listen: OptionValue = None, **options: OptionValue) -> List[str]:
        """Goes on with other options, without touching a connection; files that options name are read anew.

        They are all options, as for the constructor: one that is left out has its default from then on. All of it
        holds when this returns; other threads run meanwhile. Returns the names of options that were to change and
        last until a restart: they stay as they were.
        """
        return self._reload(options_json({"listen": listen, **options})).splitlines()

    # ---- waiting and ending

    def flush(self, timeout: Seconds = 5.0) -> None:
        """Waits until the server has taken all that was published before. Other threads run meanwhile."""
        self._flush(milliseconds(timeout))

    def stop(self, timeout: Seconds = 10.0) -> None:
        """Stops the server; it answers what is under way first. Whatever this raises, the server is gone after it."""
        self._wake_waiters()
        self._stop(milliseconds(timeout))

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __del__(self) -> None:
        if self._is_open:
            # The handle ends itself as it is freed.
            warnings.warn(f"{self!r} was never stopped", ResourceWarning, source=self)
            self._wake_waiters()

    def __repr__(self) -> str:
        return f"<encke.Server {'running' if self._is_open else 'stopped'} at {id(self):#x}>"

    # ---- events

    def fileno(self) -> int:
        """A descriptor that polls readable while events wait, until the server stops. Never read it."""
        return self._event_fd()

    def next_event(self) -> Optional[Event]:
        """The next event, or None if none waits."""
        raw = self._next_event()
        return None if raw is None else Event(self, raw)

    def events(self, timeout: Optional[Seconds] = None) -> Iterator[Event]:
        """Each event as it comes. Ends when the server stops, or when none came for as long as `timeout`."""
        with self._descriptors() as descriptors:
            poll = select.poll()
            for descriptor in descriptors:
                poll.register(descriptor, select.POLLIN)
            while True:
                try:
                    event = self._await_event(poll, timeout)
                except Closed:
                    return
                if event is None:
                    return
                yield event

    def _await_event(self, poll: "select.poll", timeout: Optional[Seconds]) -> Optional[Event]:
        deadline = None if timeout is None else time.monotonic() + seconds(timeout)
        while True:
            event = self.next_event()
            if event is not None:
                return event
            rest = None if deadline is None else deadline - time.monotonic()
            if rest is not None and rest <= 0:
                return None
            poll.poll(None if rest is None else min(milliseconds(rest), _POLL_MS_MAX))

    async def aevents(self) -> AsyncIterator[Event]:
        """Each event as it comes, on the running event loop. Ends when the server stops."""
        with self._descriptors() as descriptors:
            in_a_row = 0
            while True:
                try:
                    event = self.next_event()
                except Closed:
                    return
                if event is None:
                    in_a_row = 0
                    await _readable(*descriptors)
                    continue
                yield event
                in_a_row += 1
                if in_a_row % _EVENTS_A_TURN == 0:
                    await asyncio.sleep(0)

    def _wake_waiters(self) -> None:
        """Tells whoever waits for events that there will be none; their duplicates stay readable."""
        with self._closing:
            farewell, self._farewell = self._farewell, None
            if farewell is not None:
                reader, writer = farewell
                os.write(writer, b"\0")
                os.close(reader)
                os.close(writer)

    @contextlib.contextmanager
    def _descriptors(self) -> Iterator[Tuple[int, ...]]:
        """Duplicates of two descriptors: one polls readable while events wait, the other once the server stops."""
        with contextlib.ExitStack() as stack:
            with self._closing:
                if self._farewell is None:
                    raise Closed("it is stopped")
                mine = tuple(os.dup(descriptor) for descriptor in (self._event_fd(), self._farewell[0]))
            for descriptor in mine:
                stack.callback(os.close, descriptor)
            yield mine


async def _readable(*descriptors: int) -> None:
    """Waits until one of the descriptors polls readable.

    They are watched only meanwhile: they stay readable until the events are taken, and an event loop would turn
    and turn for a host that is busy with the last one.
    """
    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    for descriptor in descriptors:
        loop.add_reader(descriptor, wake)
    try:
        await woken
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)
