"""What Prometheus is told is read by its own parser, and adds up."""

from __future__ import annotations

import urllib.request

from conditions import until
from curl import Sse
from prometheus_client.parser import text_string_to_metric_families

import encke


def families(server):
    with urllib.request.urlopen(f"http://{server.addresses['private'][0]}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return {family.name: family for family in text_string_to_metric_families(answer.read().decode())}


def value(server, family, suffix="", **labels):
    samples = families(server)[family].samples
    [found] = [one for one in samples if one.name == family + suffix and one.labels == labels]
    return found.value


def test_the_numbers_are_read_by_prometheus_own_parser():
    with encke.Server("127.0.0.1:0", private="127.0.0.1:0", reactors=2) as server:
        with Sse(server.address, "/a"):
            until("a reader is counted", lambda: value(server, "encke_connections_held", transport="sse") == 1)
            server.publish("/a", "x" * 1000)
            until("a delivery is counted", lambda: value(server, "encke_delivered", "_total") == 1)
            until("its bytes are counted", lambda: value(server, "encke_sent_bytes", "_total") > 1000)
        told = families(server)
        assert all(family.documentation for family in told.values())
        assert told["encke_turn_seconds"].type == told["encke_lag_messages"].type == "histogram"
        assert told["encke_refusals"].type == "counter" and told["encke_connections"].type == "gauge"
        for family in (told["encke_turn_seconds"], told["encke_lag_messages"]):
            buckets = [one for one in family.samples if one.name.endswith("_bucket")]
            [count] = [one.value for one in family.samples if one.name.endswith("_count")]
            assert [one.value for one in buckets] == sorted(one.value for one in buckets)
            assert buckets[-1].labels["le"] == "+Inf" and buckets[-1].value == count
