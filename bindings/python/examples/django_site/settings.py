"""A site that publishes to a server of its own process: `encke serve --control /tmp/encke.sock`."""

import os

SECRET_KEY = "only for the example"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["push.PushConfig"]
ENCKE_ADDRESS = "unix:" + os.environ.get("ENCKE_CONTROL", "/tmp/encke.sock")
