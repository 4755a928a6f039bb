"""A chat whose push server runs in the same process, and asks the application who may read:

    uvicorn fastapi_app:app

One process, then: with `--workers`, run `encke serve --control` beside it, and publish through that socket.
"""

import asyncio
import contextlib
import logging
import os
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

import encke

log = logging.getLogger("uvicorn.error")


async def host(push):
    """Members may read rooms; what clients send up themselves is passed on with their name."""
    async for event in push.aevents():
        query = parse_qs(event.request.get("query", ""))
        user = query.get("user", ["nobody"])[0]
        if event.kind is encke.EventKind.SUBSCRIBE:
            event.allow() if user in ("ann", "bob") else event.deny()
        elif event.kind is encke.EventKind.PUBLISH:
            push.publish("/rooms/lobby", {"user": user, "text": event.text})


@contextlib.asynccontextmanager
async def lifespan(app):
    with encke.Server(os.environ.get("ENCKE_LISTEN"), judge="/rooms/*", host_channels="/say/*") as push:
        log.info("encke listens on %s", push.address)
        app.state.push = push
        task = asyncio.create_task(host(push))
        yield
        await asyncio.to_thread(push.stop)
        await task


app = FastAPI(lifespan=lifespan)


# The client is Encke's own; ann may read, and reads what was said before first.
PAGE = """<!doctype html><meta charset="utf-8"><title>Lobby</title><ol id="said"></ol>
<script type="module">
  import { connect } from "http://ENCKE/encke.js";
  const feed = connect("http://ENCKE/?user=ann", { channels: "/rooms/lobby", since: "earliest" });
  feed.on("/rooms/*", ({ data: { user, text } }) => {
    document.querySelector("#said").append(Object.assign(document.createElement("li"), { textContent: `${user}: ${text}` }));
  });
</script>"""


@app.get("/", response_class=HTMLResponse)
def lobby(request: Request):
    return PAGE.replace("ENCKE", request.app.state.push.address)


@app.post("/rooms/{room}")
async def say(room: str, request: Request):
    request.app.state.push.publish(f"/rooms/{room}", {"user": "app", "text": (await request.body()).decode()})
    return {"taken": True}
