"""The interpreter's lock: kept where nothing blocks, released where something does."""

from __future__ import annotations

import sys
import threading

import pytest
from conditions import SECONDS, until
from peer import Peer

import encke


class Ticker:
    """A thread that counts for as long as it may run."""

    def __init__(self) -> None:
        self.ticks = 0
        self._stop = False
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop:
            self.ticks += 1

    def __enter__(self) -> "Ticker":
        self._thread.start()
        until("the other thread runs", lambda: self.ticks)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join(SECONDS)


@pytest.fixture
def nobody_is_interrupted():
    """From here on a thread loses the interpreter's lock only by releasing it."""
    before = sys.getswitchinterval()
    yield lambda: sys.setswitchinterval(1000)
    sys.setswitchinterval(before)


def test_publishing_keeps_the_interpreter_and_flushing_releases_it(nobody_is_interrupted):
    with encke.Server("127.0.0.1:0") as server:
        go = threading.Event()
        ticks = []

        def other():
            go.wait()
            ticks.append("ran")

        thread = threading.Thread(target=other)
        thread.start()
        nobody_is_interrupted()
        go.set()
        for number in range(1000):
            server.publish("/a", "x")
            server.publish("/a", {"n": number})
            server.publish_many("/a", ["x"] * 10)
        assert ticks == [], "publishing released the interpreter's lock"
        until("a flush lets the other thread run", lambda: server.flush() or ticks)
        thread.join(SECONDS)


def test_a_flush_that_waits_lets_other_threads_run(tmp_path):
    with Peer(str(tmp_path / "peer.sock")) as peer, Ticker() as ticker:
        publisher = encke.NativePublisher(peer.address)
        publisher.publish("/a", "x")
        publisher.flush()
        peer.reading.clear()
        publisher.publish("/a", "x")
        goal = ticker.ticks + 100_000

        def let_it_be_read():
            until("the other thread has run", lambda: ticker.ticks > goal)
            peer.reading.set()

        reader = threading.Thread(target=let_it_be_read)
        reader.start()
        # It is answered only after two other threads have run.
        publisher.flush(2 * SECONDS)
        assert ticker.ticks > goal
        reader.join(SECONDS)
        publisher.close()


def test_a_server_may_be_stopped_while_other_threads_use_it():
    server = encke.Server("127.0.0.1:0")
    ended = []

    def use(call):
        try:
            while True:
                try:
                    call()
                except encke.Full:
                    server.flush()
        except encke.Closed:
            ended.append(call)

    def read_events():
        for _ in server.events():
            pass
        raise encke.Closed("the events have ended")

    calls = [lambda: server.publish("/a", "x"), lambda: server.flush(), lambda: server.stats(), read_events]
    threads = [threading.Thread(target=use, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    until("messages are published", lambda: server.stats()["published"] > 1000)
    server.stop()
    for thread in threads:
        thread.join(SECONDS)
    assert len(ended) == len(calls)
