"""What is published arrives: complete, in order, once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conditions import SECONDS
from curl import Sse, long_poll

import encke

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
COUNT = 100_000
#: Room for all of it, whatever a reader's pace.
HISTORY = {"history_messages": COUNT, "history_bytes": "64MiB"}


def read_both_ways(address, channel, count):
    """The same messages by server-sent events and by long polls, at the same time."""
    with ThreadPoolExecutor() as pool:
        polled = pool.submit(long_poll, address, channel, count)
        with Sse(address, channel) as stream:
            streamed = stream.take(count)
        return streamed, polled.result()


def test_a_script_of_ten_lines_serves_a_hundred_thousand_messages():
    script = EXAMPLES / "first.py"
    assert len(script.read_text().splitlines()) <= 10
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as host:
        address = host.stdout.readline().strip()
        expected = [str(number) for number in range(COUNT)]
        streamed, polled = read_both_ways(address, "/news", COUNT)
        assert streamed == expected
        assert polled == expected
        host.communicate("\n", SECONDS)
        assert host.returncode == 0


def publish_numbers(publisher, name, count):
    """One message a call, and again when there was no room for it."""
    for number in range(count):
        while True:
            try:
                publisher.publish("/news", f"{name}:{number}")
                break
            except encke.Full:
                publisher.flush(SECONDS)
    publisher.flush(SECONDS)


def check_each_in_order(messages, names, count):
    assert len(messages) == len(names) * count
    for name in names:
        mine = [message for message in messages if message.startswith(f"{name}:")]
        assert mine == [f"{name}:{number}" for number in range(count)]


def test_four_threads_keep_their_order_each():
    with encke.Server("127.0.0.1:0", **HISTORY) as server:
        threads = [threading.Thread(target=publish_numbers, args=(server, name, COUNT // 4)) for name in range(4)]
        for thread in threads:
            thread.start()
        streamed, polled = read_both_ways(server.address, "/news", COUNT)
        for thread in threads:
            thread.join(SECONDS)
        check_each_in_order(streamed, range(4), COUNT // 4)
        assert polled == streamed


@pytest.mark.parametrize("kind", [encke.SocketPublisher, encke.NativePublisher])
@pytest.mark.parametrize("opened", ["before the fork", "after the fork"])
def test_four_processes_keep_their_order_each(tmp_path, kind, opened):
    path = str(tmp_path / "encke.sock")
    with encke.Server("127.0.0.1:0", control=path, **HISTORY) as server:
        publisher = kind(f"unix:{path}") if opened == "before the fork" else None
        children = []
        for name in range(4):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    publish_numbers(publisher or kind(f"unix:{path}"), name, COUNT // 4)
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        streamed, polled = read_both_ways(server.address, "/news", COUNT)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        check_each_in_order(streamed, range(4), COUNT // 4)
        assert polled == streamed
        if publisher:
            publisher.close()


def test_children_of_a_server_with_a_control_socket_publish_through_it(tmp_path):
    with encke.Server("127.0.0.1:0", control=tmp_path / "encke.sock", **HISTORY) as server:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                publish_numbers(server, "child", 10_000)
                status = 0
            finally:
                os._exit(status)
        publish_numbers(server, "parent", 10_000)
        with Sse(server.address, "/news") as stream:
            messages = stream.take(20_000)
        assert os.waitpid(child, 0)[1] == 0
        check_each_in_order(messages, ["child", "parent"], 10_000)
