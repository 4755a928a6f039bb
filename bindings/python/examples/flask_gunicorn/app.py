"""A chat: what is posted to /say/<room> goes to all who read /chat/<room>."""

import functools
import os

from flask import Flask, request

import encke

app = Flask(__name__)


@functools.cache
def publisher():
    """Each worker's own: opened when it is first needed, and that is after the fork."""
    return encke.Publisher("unix:" + os.environ["ENCKE_CONTROL"])


@app.post("/say/<room>")
def say(room):
    publisher().publish(f"/chat/{room}", {"text": request.get_data(as_text=True), "worker": os.getpid()})
    # Only for an answer that promises: the message is now in the channel's history.
    publisher().flush()
    return {"worker": os.getpid()}
