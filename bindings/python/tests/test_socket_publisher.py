"""The publisher in plain Python, against a peer that stops reading and breaks connections."""

from __future__ import annotations

import os
import threading

import pytest
from conditions import SECONDS, until
from peer import Peer

import encke


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "peer.sock")


@pytest.fixture
def peer(path):
    with Peer(path) as peer:
        yield peer


@pytest.fixture
def publisher(path):
    publisher = encke.SocketPublisher(f"unix:{path}")
    yield publisher
    try:
        publisher.close(0)
    except encke.Error:
        pass


def test_what_is_published_arrives_with_its_labels(peer, publisher):
    publisher.publish("/a", "text ü")
    publisher.publish("/a", b"\xff\0")
    publisher.publish("/a", memoryview(bytearray(b"view")))
    publisher.publish("/a", {"n": [1, None, True, "ü"]})
    publisher.publish("/a", 1.5, content_type="application/x-number", event="tick")
    publisher.flush()
    assert peer.messages == [
        ("/a", "", "", "text ü".encode()),
        ("/a", "", "", b"\xff\0"),
        ("/a", "", "", b"view"),
        ("/a", "application/json", "", '{"n":[1,null,true,"ü"]}'.encode()),
        ("/a", "application/x-number", "tick", b"1.5"),
    ]


def test_many_and_pairs_keep_their_order(peer, publisher):
    assert publisher.publish_many("/a", [str(n) for n in range(5000)]) == 5000
    assert publisher.publish_pairs((f"/{n}", str(n)) for n in range(3)) == 3
    channel = publisher.channel("/3")
    channel.publish("3", event="tick")
    assert channel.publish_many([4]) == 1
    publisher.flush()
    assert peer.data == [str(n).encode() for n in [*range(5000), *range(5)]]
    assert [message[0] for message in peer.messages[5000:]] == ["/0", "/1", "/2", "/3", "/3"]


def test_wrong_use_raises_and_sends_nothing(peer, publisher):
    for error, call in [
        (encke.Invalid, lambda: publisher.publish("/a", "\ud800")),
        (encke.Invalid, lambda: publisher.publish("/\ud800", "x")),
        (encke.Invalid, lambda: publisher.publish("/a", ["\ud800"])),
        (encke.Invalid, lambda: publisher.publish("", "x")),
        (encke.Invalid, lambda: publisher.publish("/" + "a" * 255, "x")),
        (encke.Invalid, lambda: publisher.publish("/a", b"x" * (1 << 21))),
        (encke.Invalid, lambda: publisher.publish("/a", "x", event="e" * 256)),
        (TypeError, lambda: publisher.publish("/a", object())),
        (TypeError, lambda: publisher.publish(1, "x")),
        (ValueError, lambda: publisher.publish("/a", float("nan"))),
        (encke.Invalid, lambda: publisher.publish_many("/a", ["\ud800", "x"])),
        (encke.Invalid, lambda: encke.SocketPublisher("http://localhost")),
    ]:
        with pytest.raises(error):
            call()
    assert publisher.publish_many("/a", ["good", "\ud800", "x"]) == 1
    publisher.flush()
    assert peer.data == [b"good"]
    publisher.close()
    with pytest.raises(encke.Closed):
        publisher.publish("/a", "x")


def test_a_peer_that_does_not_read_makes_it_full_and_nothing_is_lost(peer, publisher):
    publisher.publish("/a", "-1")
    publisher.flush()
    peer.reading.clear()
    sent = 0
    with pytest.raises(encke.Full):
        while sent < 1_000_000:
            publisher.publish("/a", f"{sent:0100}")
            sent += 1
    assert publisher.publish_many("/a", ["x" * 100]) == 0
    with pytest.raises(encke.TimedOut):
        publisher.flush(0.05)
    peer.reading.set()
    publisher.flush(SECONDS)
    assert peer.data == [b"-1"] + [b"%0100d" % n for n in range(sent)]


def test_what_waits_leaves_without_another_call(peer, publisher):
    publisher.publish("/a", "first")
    publisher.flush()
    peer.reading.clear()
    taken = publisher.publish_many("/a", [f"{n:0100}" for n in range(5000)])
    assert taken == 5000
    peer.reading.set()
    until("all that waited has arrived", lambda: len(peer.messages) == 5001)


def test_it_waits_for_a_server_that_is_not_there_yet(path, publisher):
    publisher.publish("/a", "early")
    with pytest.raises(encke.TimedOut, match="No such file"):
        publisher.flush(0.05)
    with Peer(path) as peer:
        publisher.flush(SECONDS)
        assert peer.data == [b"early"]


def test_a_broken_connection_is_told_and_nothing_is_sent_twice(path, publisher):
    with Peer(path) as peer:
        publisher.publish("/a", "one")
        publisher.flush()
        peer.reading.clear()
        publisher.publish("/a", "in flight")
    with Peer(path) as peer:
        publisher.publish("/a", "two")
        with pytest.raises(encke.Unconfirmed) as told:
            publisher.flush(SECONDS)
        assert (told.value.doubtful, told.value.refused) == (1, 0)
        publisher.flush()
        assert peer.data == [b"two"]


@pytest.mark.parametrize("broken_at", [0, 8, 9, 15, 16, 20, 100, 1000, 100_000, 300_000])
def test_a_connection_may_break_at_any_byte(peer, publisher, broken_at):
    peer.break_after = broken_at
    payloads = [b"%05d" % n * 20_000 for n in range(10)]
    for payload in payloads:
        publisher.publish("/a", payload)
    doubtful = 0
    try:
        publisher.flush(SECONDS)
    except encke.Unconfirmed as told:
        doubtful = told.doubtful
    publisher.flush(SECONDS)
    assert peer.connections == 2
    assert len(peer.data) >= len(payloads) - doubtful
    # A subsequence of what was published: in order, and nothing twice.
    rest = iter(payloads)
    assert all(payload in rest for payload in peer.data)


def test_a_message_that_breaks_every_connection_is_given_up(peer, publisher):
    peer.data_max = 1000
    publisher.publish("/a", b"x" * (1 << 19))
    publisher.publish("/a", "after")
    with pytest.raises(encke.Unconfirmed) as told:
        publisher.flush(SECONDS)
    assert told.value.doubtful == 1
    assert (peer.data, peer.connections) == ([b"after"], 3)


def test_refusals_are_told_once(peer, publisher):
    peer.refuse = b"bad"
    publisher.publish_many("/a", ["good", "bad", "bad"])
    with pytest.raises(encke.Unconfirmed, match="2 were refused, the first for bad: not wanted") as told:
        publisher.flush()
    assert (told.value.refused, told.value.doubtful) == (2, 0)
    publisher.flush()
    assert peer.data == [b"good"]


def test_threads_keep_their_order(peer, publisher):
    def work(name):
        for n in range(5000):
            while True:
                try:
                    publisher.publish(f"/{name}", str(n))
                    break
                except encke.Full:
                    publisher.flush(SECONDS)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publisher.flush(SECONDS)
    for name in range(4):
        assert [data for channel, _, _, data in peer.messages if channel == f"/{name}"] == [
            b"%d" % n for n in range(5000)
        ]


def test_a_forked_child_has_a_connection_of_its_own_and_repeats_nothing(peer, publisher):
    publisher.publish("/a", "parent")
    publisher.flush()
    peer.reading.clear()
    taken = publisher.publish_many("/a", [f"{n:0100}" for n in range(5000)])
    child = os.fork()
    if child == 0:
        with publisher._lock:
            empty = publisher._stream.taken == 0 and not publisher._stream.waits
        os._exit(0 if empty else 1)
    assert os.waitpid(child, 0)[1] == 0
    peer.reading.set()
    publisher.flush(SECONDS)
    assert peer.data == [b"parent"] + [b"%0100d" % n for n in range(taken)]
    publisher.close()
    child = os.fork()
    if child == 0:
        try:
            with encke.SocketPublisher(peer.address) as mine:
                mine.publish("/a", "child")
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert peer.data[-1] == b"child"


def test_the_end_of_the_process_waits_for_what_waits(path, run_python):
    script = f"import encke; p = encke.SocketPublisher('unix:{path}'); p.publish('/a', 'x'); print('ok', flush=True)"
    done = run_python(script)
    assert done.stdout == "ok\n"
    assert "1 messages are not confirmed" in done.stderr and "No such file" in done.stderr
    with Peer(path) as peer:
        done = run_python(script)
        assert (done.stdout, done.stderr) == ("ok\n", "")
        until("the message of a process that has ended", lambda: peer.data == [b"x"])
