"""The host decides who may read `/private/…`: ann may, nobody else."""
import sys
from urllib.parse import parse_qs

import encke

listen = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8080"
with encke.Server(listen, judge="/private/**", judge_timeout="2s", judge_default="deny") as server:
    print(f"curl -N 'http://{server.address}/sub/private/plans?transport=sse&user=ann'", flush=True)
    for event in server.events():
        if event.kind is encke.EventKind.SUBSCRIBE:
            user = parse_qs(event.request["query"]).get("user")
            if user == ["ann"]:
                event.allow()
                server.publish(event.channel, "welcome, ann")
            else:
                event.deny()
