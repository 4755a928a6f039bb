"""The same chat without a configuration: the workers inherit the server's handle from the master.

    gunicorn --preload --workers 4 inherited:app

With --preload this file is read once, in the master. In a worker, the handle publishes through the control socket.
"""

import os

from flask import Flask, request

import encke

app = Flask(__name__)
push = encke.Server(os.environ.get("ENCKE_LISTEN"), control=os.environ.get("ENCKE_CONTROL", "/tmp/encke.sock"))
print("encke listens on", push.address, flush=True)


@app.post("/say/<room>")
def say(room):
    push.publish(f"/chat/{room}", {"text": request.get_data(as_text=True), "worker": os.getpid()})
    push.flush()
    return {"worker": os.getpid()}
