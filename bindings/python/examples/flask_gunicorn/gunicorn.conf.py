"""Four workers that publish, and the push server in their master:

    gunicorn --preload -c gunicorn.conf.py app:app

The master starts the server once, before it forks; workers may come and go. They publish through the control socket.
"""

import os

import encke

workers = 4
os.environ.setdefault("ENCKE_CONTROL", "/tmp/encke.sock")


def on_starting(arbiter):
    # Kept by the arbiter and not by this file, which is read again on a reload.
    arbiter.push = encke.Server(os.environ.get("ENCKE_LISTEN"), control=os.environ["ENCKE_CONTROL"])
    arbiter.log.info("encke listens on %s", arbiter.push.address)


def on_exit(arbiter):
    arbiter.push.stop()
