"""The host decides who may read `/private/…`: ann may, nobody else. Whoever has come in is welcomed."""

import sys
from urllib.parse import parse_qs

import encke
from encke import EventKind

listen = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8080"
with encke.Server(listen, judge="/private/**", judge_timeout="5s", judge_default="deny", events="subscribed") as server:
    print(f"curl -N 'http://{server.address}/sub/private/plans?transport=sse&user=ann'", flush=True)
    for event in server.events():
        if event.kind is EventKind.SUBSCRIBE:
            user = parse_qs(event.request["query"]).get("user")
            event.allow() if user == ["ann"] else event.deny()
        elif event.kind is EventKind.SUBSCRIBED:
            server.publish(event.channel, "welcome")
