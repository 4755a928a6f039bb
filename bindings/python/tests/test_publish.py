"""One message and many: what may be published, how it arrives, and what is refused."""

from __future__ import annotations

import gc
import json
import os
import time
from datetime import timedelta

import pytest
from conditions import SECONDS
from curl import get

import encke


@pytest.fixture
def server():
    with encke.Server("127.0.0.1:0") as server:
        yield server


def messages(server, channel):
    server.flush()
    status, body = get(f"http://{server.address}/sub{channel}?transport=poll&since=earliest")
    assert status == 200, body
    return [
        {key: message[key] for key in message if key not in ("id", "channel")}
        for message in json.loads(body)["messages"]
    ]


class Text(str):
    pass


@pytest.mark.parametrize(
    "data, labels, arrives",
    [
        ("text ü 🐘", {}, {"data": "text ü 🐘"}),
        ("", {}, {"data": ""}),
        (Text("subclass"), {}, {"data": "subclass"}),
        (b"bytes", {}, {"data": "bytes"}),
        (b"\xff\0", {}, {"data": "/wA=", "encoding": "base64"}),
        (bytearray(b"array"), {}, {"data": "array"}),
        (memoryview(b"a view")[2:], {}, {"data": "view"}),
        ({"a": [1, 2.5, None, True, "ü"]}, {}, {"data": {"a": [1, 2.5, None, True, "ü"]}}),
        ([], {}, {"data": []}),
        (7, {}, {"data": 7}),
        (None, {}, {"data": None}),
        (False, {}, {"data": False}),
        ('{"a":1}', {"content_type": "application/json"}, {"data": {"a": 1}}),
        ({"a": 1}, {"content_type": "text/plain"}, {"data": '{"a":1}'}),
        ("x", {"event": "tick"}, {"data": "x", "event": "tick"}),
        (b"x", {"event": None, "content_type": None}, {"data": "x"}),
        (bytearray(b"x"), {"event": "tick"}, {"data": "x", "event": "tick"}),
    ],
)
def test_each_kind_of_data_arrives_as_it_should(server, data, labels, arrives):
    server.publish("/a", data, **labels)
    assert server.publish_many("/b", [data], **labels) == 1
    assert server.publish_pairs([("/c", data)], **labels) == 1
    server.channel("/d").publish(data, **labels)
    assert server.channel("/e").publish_many([data], **labels) == 1
    for channel in ("/a", "/b", "/c", "/d", "/e"):
        assert messages(server, channel) == [arrives]


def test_a_channel_and_its_server_publish_in_one_order(server):
    channel = server.channel("/a")
    assert channel.name == "/a" and "/a" in repr(channel)
    for n in range(0, 900, 3):
        channel.publish(str(n))
        server.publish("/a", str(n + 1))
        assert channel.publish_many([str(n + 2)]) == 1
    arrived = [message["data"] for message in messages(server, "/a")]
    # The history has the last ones.
    assert arrived == [str(n) for n in range(900)][-len(arrived) :]
    # More than a thread remembers, and more than are ever open at once.
    for n in range(10_000):
        server.channel(f"/many/{n % 200}").publish("x")


def test_a_channel_outlives_its_server_without_harm():
    server = encke.Server("127.0.0.1:0")
    server.mine = server.channel("/a")
    channel = server.channel("/b")
    with pytest.raises(AttributeError):
        channel.name = "/c"
    with pytest.raises(TypeError):
        type(channel)()
    server.stop()
    del server
    gc.collect()
    for call in (lambda: channel.publish("x"), lambda: channel.publish([1]), lambda: channel.publish_many(["x"])):
        with pytest.raises(encke.Closed):
            call()


def test_other_options_hold_at_once_and_those_that_cannot_are_named():
    with encke.Server("127.0.0.1:0", reactors=1) as server:
        server.publish("/a", "x" * 2000)
        assert server.reload("127.0.0.1:0", reactors=1, body_bytes_max="1KiB") == []
        with pytest.raises(encke.Invalid, match="1024"):
            server.publish("/a", "x" * 2000)
        with pytest.raises(encke.ConfigError, match="--jitter"):
            server.reload("127.0.0.1:0", reactors=1, jitter=99)
        with pytest.raises(encke.Invalid):
            server.publish("/a", "x" * 2000)
        assert server.reload("127.0.0.1:0", control="/nowhere/encke.sock") == ["control", "reactors"]
        server.publish("/a", "x" * 2000)


def test_batches_longer_than_one_call_to_the_library_keep_their_order(server):
    numbers = list(range(900))
    assert server.publish_many("/a", [str(n) for n in numbers]) == 900
    assert server.publish_many("/b", (n for n in numbers)) == 900
    assert server.publish_pairs([("/c", n) for n in numbers]) == 900
    assert [message["data"] for message in messages(server, "/a")] == [str(n) for n in numbers]
    assert [message["data"] for message in messages(server, "/b")] == numbers
    assert [message["data"] for message in messages(server, "/c")] == numbers
    assert server.publish_many("/d", []) == 0


WRONG = [
    (encke.Invalid, "slash", ("news", "x"), {}),
    (encke.Invalid, "surrogate", ("/a", "\ud800"), {}),
    (encke.Invalid, "surrogate", ("/\udfff", "x"), {}),
    (encke.Invalid, "surrogate", ("/a", {"text": "\ud800"}), {}),
    (encke.Invalid, "surrogate", ("/a", "x"), {"event": "\ud800"}),
    (encke.Invalid, "at most 255", ("/" + "a" * 255, "x"), {}),
    (encke.Invalid, "1048576", ("/a", b"x" * (1 << 21)), {}),
    (encke.Invalid, "at most 255", ("/a", "x"), {"event": "e" * 256}),
    (TypeError, "channel must be str", (b"/a", "x"), {}),
    (TypeError, "event must be str", ("/a", "x"), {"event": 1}),
    (TypeError, "not JSON serializable", ("/a", object()), {}),
    (TypeError, "no argument 'id'", ("/a", "x"), {"id": 1}),
    (TypeError, "usage: publish", ("/a",), {}),
    (ValueError, "JSON", ("/a", float("nan")), {}),
]


@pytest.mark.parametrize("error, text, arguments, labels", WRONG)
def test_wrong_use_raises_and_publishes_nothing(server, error, text, arguments, labels):
    with pytest.raises(error, match=text):
        server.publish(*arguments, **labels)
    with pytest.raises(error, match=text.replace("channel must", "name must")):
        server.channel(arguments[0]).publish(*arguments[1:], **labels)
    if len(arguments) == 2:
        with pytest.raises(error, match=text):
            server.publish_many(arguments[0], [arguments[1], "never"], **labels)
        with pytest.raises(error, match=text):
            server.publish_pairs([arguments], **labels)
    server.flush()
    assert server.stats()["published"] == 0


def test_a_batch_is_taken_up_to_what_can_never_be_taken(server):
    assert server.publish_many("/a", ["good", "\ud800", "x"]) == 1
    assert server.publish_pairs([("/a", 1), ("/a", 2), ("/a",)]) == 2
    assert server.publish_pairs([("/a", 3), ("bad", 4)]) == 1
    assert [message["data"] for message in messages(server, "/a")] == ["good", 1, 2, 3]


def test_a_list_that_changes_while_it_is_published_harms_nothing(server):
    class Clearing(dict):
        def items(self):
            batch.clear()
            return super().items()

    batch = ["x" * 100 + str(n) for n in range(50)] + [Clearing(a=1)] + ["after"] * 50
    taken = server.publish_many("/a", batch)
    assert taken == 51
    assert len(messages(server, "/a")) == 51


def test_a_server_that_is_stopped_by_the_data_itself_raises_closed():
    class Stopping(dict):
        def items(self):
            server.stop()
            return super().items()

    for publish in (
        lambda: server.publish("/a", Stopping(a=1)),
        lambda: server.publish_many("/a", ["x", Stopping(a=1), "x"]),
    ):
        server = encke.Server("127.0.0.1:0")
        with pytest.raises(encke.Closed):
            publish()


def test_a_full_mailbox_raises_or_is_told_and_nothing_is_lost():
    with encke.Server("127.0.0.1:0", mailbox_messages=64, reactors=1, history_messages=1_000_000) as server:
        batch = ["x"] * 100_000
        published = 0
        while published < len(batch):
            taken = server.publish_many("/a", batch[published:])
            published += taken
            server.flush()
        # How soon it is full is between two threads.
        deadline = time.monotonic() + SECONDS
        with pytest.raises(encke.Full) as full:
            while time.monotonic() < deadline:
                server.publish("/a", "y")
                published += 1
        assert full.value.code == -11
        server.flush()
        assert server.stats()["published"] == published


def test_after_a_stop_every_call_raises_closed():
    server = encke.Server("127.0.0.1:0")
    events = server.events()
    server.stop()
    server.stop()
    for call in (
        lambda: server.publish("/a", "x"),
        lambda: server.publish_many("/a", ["x"]),
        lambda: server.publish_pairs([("/a", "x")]),
        lambda: server.publish("/a", {"a": 1}),
        lambda: server.channel("/a"),
        server.reload,
        server.flush,
        server.stats,
        server.fileno,
        server.next_event,
        lambda: server.address,
        lambda: next(events),
    ):
        with pytest.raises(encke.Closed):
            call()


def test_in_a_forked_child_every_call_raises_and_the_parent_goes_on(server):
    channel = server.channel("/a")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for call in (
                lambda: channel.publish("x"),
                lambda: server.channel("/a"),
                server.reload,
                lambda: server.publish("/a", "x"),
                lambda: server.publish_many("/a", ["x"]),
                server.flush,
                server.stats,
                server.fileno,
                server.next_event,
            ):
                with pytest.raises(encke.Forked):
                    call()
            server.stop()
            with encke.Server("127.0.0.1:0") as own:
                own.publish("/a", "x")
                own.flush()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    channel.publish("still here")
    assert messages(server, "/a") == [{"data": "still here"}]


def test_options_are_texts_numbers_durations_lists_and_paths(tmp_path):
    with encke.Server(
        ["127.0.0.1:0", "127.0.0.1:0"],
        private="127.0.0.1:0",
        control=tmp_path / "encke.sock",
        heartbeat=False,
        long_poll_timeout=timedelta(milliseconds=1500),
        life_span="1h",
        history_messages=10,
        reactors=None,
    ) as server:
        addresses = server.addresses
        assert server.address == addresses["public"][0]
        assert (len(addresses["public"]), len(addresses["private"])) == (2, 1)
        assert addresses["control"] == str(tmp_path / "encke.sock")


@pytest.mark.parametrize(
    "error, text, options",
    [
        (encke.ConfigError, "did you mean --heartbeat", {"hartbeat": "3s"}),
        (encke.ConfigError, "--reactors", {"reactors": 100_000}),
        (encke.ConfigError, "--reactors", {"reactors": True}),
        (encke.SystemFailure, "--listen", {"listen": "192.0.2.1:80"}),
        (TypeError, "heartbeat", {"heartbeat": 2.5}),
    ],
)
def test_a_wrong_option_is_named(error, text, options):
    with pytest.raises(error, match=text):
        encke.Server(**{"listen": "127.0.0.1:0", **options})


def test_the_same_options_are_the_same_server():
    first, second = encke.Server("127.0.0.1:0", retry="3s"), encke.Server("127.0.0.1:0", retry="3s")
    assert first.address == second.address
    first.stop()
    second.publish("/a", "x")
    assert messages(second, "/a") == [{"data": "x"}]
    second.stop()


def test_a_server_that_is_forgotten_stops_and_says_so():
    server = encke.Server("127.0.0.1:0")
    address = server.address
    with pytest.warns(ResourceWarning, match="never stopped"):
        del server
    with encke.Server(address):
        pass
