"""The host's side: it judges subscriptions, takes what clients publish, and hears who comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest
from conditions import SECONDS
from curl import Sse, get

import encke
from encke import EventKind


@contextlib.contextmanager
def judged(decide, **options):
    """A server whose host answers each question by `decide(event)` on a thread of its own."""
    options = {"judge": "/private/**", "judge_timeout": "20s", **options}
    with encke.Server("127.0.0.1:0", **options) as server:

        def host():
            for event in server.events():
                decide(event)

        thread = threading.Thread(target=host)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(SECONDS)
            assert not thread.is_alive(), "the events end with the server"


def by_user(event):
    assert event.kind is EventKind.SUBSCRIBE
    if parse_qs(event.request["query"]).get("user") == ["ann"]:
        event.allow()
    else:
        event.deny()


def poll(server, channel, query="", *options):
    return get(f"http://{server.address}/sub{channel}?transport=poll&since=earliest&{query}", *options)


def test_one_user_is_let_in_and_another_is_not():
    with judged(by_user) as server:
        server.publish("/private/plans", "secret")
        server.publish("/open", "hello")
        server.flush()
        status, body = poll(server, "/private/plans", "user=ann")
        assert (status, json.loads(body)["messages"][0]["data"]) == (200, "secret")
        status, body = poll(server, "/private/plans", "user=bob")
        assert (status, json.loads(body)["error"]) == (403, "forbidden")
        assert poll(server, "/open")[0] == 200


def test_a_question_says_who_asks():
    asked = []

    def decide(event):
        asked.append((event.channel, event.client, event.request))
        event.allow()

    with judged(decide) as server:
        headers = ["-H", "Cookie: a=1", "-H", "Authorization: Bearer x", "-H", "X-Other: no", "-A", "test"]
        assert poll(server, "/private/plans", "user=ann", *headers)[0] == 200
    [(channel, client, request)] = asked
    assert channel == "/private/plans" and client != 0
    assert request["address"].startswith("127.0.0.1:")
    assert request["transport"] == "poll"
    assert "user=ann" in request["query"]
    assert request["headers"] == {"cookie": "a=1", "authorization": "Bearer x", "user-agent": "test"}


@pytest.mark.parametrize("default, status", [("deny", 403), ("allow", 200)])
def test_a_host_that_never_answers_is_answered_for(default, status):
    with encke.Server("127.0.0.1:0", judge="/private/**", judge_timeout="300ms", judge_default=default) as server:
        begin = time.monotonic()
        assert poll(server, "/private/plans")[0] == status
        assert time.monotonic() - begin >= 0.3
        late = server.next_event()
        late.allow()
        late.deny()
        assert server.next_event() is None


def test_an_answer_from_another_thread_and_much_later_counts():
    with ThreadPoolExecutor(2) as deciders, ThreadPoolExecutor(16) as clients:
        with judged(lambda event: deciders.submit(by_user, event)) as server:
            many = [clients.submit(poll, server, "/private/plans", f"user={user}") for user in ["ann", "bob"] * 8]
            assert [each.result()[0] for each in many] == [200, 403] * 8


def test_what_was_not_asked_cannot_be_answered():
    with encke.Server("127.0.0.1:0", host_channels="/up/*") as server:
        assert get(f"http://{server.address}/pub/up/a", "-d", "x")[0] == 202
        [event] = server.events(timeout=0)
        with pytest.raises(encke.Invalid, match="nothing was asked"):
            event.allow()


def test_what_clients_publish_to_host_channels_comes_to_the_host_alone():
    with encke.Server("127.0.0.1:0", host_channels="/up/*") as server:
        url = f"http://{server.address}/pub/up/chat"
        status, body = get(url, "-d", '{"say":"hi"}', "-H", "Content-Type: application/json")
        assert (status, json.loads(body)) == (202, {"taken": True})
        event = next(server.events(timeout=SECONDS))
        assert (event.kind, event.channel, event.content_type) == (EventKind.PUBLISH, "/up/chat", "application/json")
        assert event.json() == {"say": "hi"}
        assert event.text == '{"say":"hi"}' and event.data == b'{"say":"hi"}'
        assert event.request["address"].startswith("127.0.0.1:")
        assert server.stats()["published"] == 0


def test_who_comes_and_goes_is_told():
    with encke.Server("127.0.0.1:0", events=["subscribed", "unsubscribed", "gone"]) as server:
        events = server.events(timeout=SECONDS)
        with Sse(server.address, "/news"):
            came = next(events)
            assert (came.kind, came.channel) == (EventKind.SUBSCRIBED, "/news")
        left = {event.kind: event for event in (next(events), next(events))}
        assert set(left) == {EventKind.UNSUBSCRIBED, EventKind.GONE}
        assert {event.client for event in left.values()} == {came.client}


KEYS = '{"keys":[{"kty":"oct","alg":"HS256","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}'
#: Of the user ann, who may subscribe to /chat/*; signed with that key.
TOKEN = (
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJlbmNrZSI6eyJzdWJzY3JpYmUiOlsiL2NoYXQvKiJdfX0."
    "6JAQ2XGiKbBk3FIVyDe2xJI1yDdtmCDvZuZR4SkCTp8"
)


def test_who_is_present_is_told_by_name(tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text(KEYS)
    options = {"token_keys": keys, "token_expiry": "optional", "presence": "/chat/*", "presence_grace": "100ms"}
    with encke.Server("127.0.0.1:0", events="presence", **options) as server:
        assert poll(server, "/chat/rome", f"token={TOKEN}")[0] == 200
        events = server.events(timeout=SECONDS)
        for kind in (EventKind.JOINED, EventKind.LEFT):
            event = next(events)
            assert (event.kind, event.channel, event.text) == (kind, "/chat/rome", "ann")


def test_events_that_found_no_room_are_counted():
    with encke.Server("127.0.0.1:0", events="subscribed", events_max=1, reactors=1) as server:
        for _ in range(5):
            assert poll(server, "/news")[0] == 200
        kinds = [event.kind for event in server.events(timeout=0)]
        assert EventKind.OVERFLOW in kinds


def test_waiting_for_events_ends_by_time_and_by_a_stop():
    server = encke.Server("127.0.0.1:0", host_channels="/up/*")
    begin = time.monotonic()
    assert list(server.events(timeout=0.1)) == []
    assert time.monotonic() - begin >= 0.1
    waiting = threading.Event()
    ended = threading.Event()

    def wait():
        events = server.events()
        # Who begins to wait after the stop gets an exception: with the first event it has begun.
        assert next(events).kind is EventKind.PUBLISH
        waiting.set()
        assert list(events) == []
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert get(f"http://{server.address}/pub/up/a", "-d", "x")[0] == 202
    assert waiting.wait(SECONDS)
    server.stop()
    assert ended.wait(SECONDS)
    thread.join(SECONDS)


def test_an_event_loop_takes_events_and_goes_on_meanwhile():
    async def main():
        with encke.Server("127.0.0.1:0", judge="/private/**", judge_timeout="20s") as server:
            turns = 0

            async def host():
                async for event in server.aevents():
                    await asyncio.sleep(0)
                    by_user(event)

            async def turn():
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0.001)

            tasks = [asyncio.create_task(host()), asyncio.create_task(turn())]
            polls = [asyncio.to_thread(poll, server, "/private/plans", f"user={user}") for user in ["ann", "bob"] * 4]
            assert [status for status, _ in await asyncio.gather(*polls)] == [200, 403] * 4
            assert turns > 1
            server.stop()
            await asyncio.wait_for(tasks[0], SECONDS)
            tasks[1].cancel()

    asyncio.run(main())


def test_a_busy_host_does_not_make_its_event_loop_spin():
    """Events that wait keep the descriptor readable: the loop must not look at it while the host is busy."""

    async def main():
        with encke.Server("127.0.0.1:0", host_channels="/up/*") as server:
            url = f"http://{server.address}/pub/up/a"
            taken = []
            begin = asyncio.Event()

            async def host():
                async for event in server.aevents():
                    taken.append(event)
                    begin.set()
                    await asyncio.sleep(0.3)
                    if len(taken) == 3:
                        return

            task = asyncio.create_task(host())
            for _ in range(3):
                assert (await asyncio.to_thread(get, url, "-d", "x"))[0] == 202
            await begin.wait()
            cpu = time.thread_time()
            await task
            assert time.thread_time() - cpu < 0.15

    asyncio.run(main())


def test_a_selector_can_watch_the_descriptor():
    with encke.Server("127.0.0.1:0", host_channels="/up/*") as server:
        assert select.select([server], [], [], 0) == ([], [], [])
        assert get(f"http://{server.address}/pub/up/a", "-d", "x")[0] == 202
        assert select.select([server], [], [], SECONDS)[0] == [server]
        assert server.next_event().kind is EventKind.PUBLISH
        assert server.next_event() is None
        assert select.select([server], [], [], 0) == ([], [], [])
