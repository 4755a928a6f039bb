"""The site's publisher: one a process, shared by its threads."""

from django.apps import AppConfig, apps
from django.conf import settings

import encke


class PushConfig(AppConfig):
    name = "push"

    def ready(self):
        # Connects at the first message, and needs no server to start: the site runs without push, if it must.
        self.publisher = encke.SocketPublisher(settings.ENCKE_ADDRESS)


def publish(channel, data):
    """In a transaction: `transaction.on_commit(lambda: publish(channel, data))`."""
    apps.get_app_config("push").publisher.publish(channel, data)
