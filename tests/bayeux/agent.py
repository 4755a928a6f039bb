"""The Python clients as agents: the few verbs that the cases are written in, asked for on standard input, one JSON object
a line, and answered on standard output in the order in which they end.

    agent.py (aiocometd|baiocas) URL CONNECTION_TYPE (ack|plain)
"""

import asyncio
import collections
import json
import sys


class AioCometd:
    """aiocometd-ng: asyncio, one verb a request; it has no batches."""

    def __init__(self, url, connection_type, with_ack):
        from aiocometd_ng import Client, ConnectionType, Extension

        agent = self

        class Acknowledged(Extension):
            """What CometD's acknowledge extension does on the client's side; it also counts handshakes."""

            batch = None

            async def outgoing(self, payload, headers):
                for message in payload:
                    if message["channel"] == "/meta/handshake":
                        self.batch = None
                        if with_ack:
                            message["ext"] = {"ack": True}
                    elif message["channel"] == "/meta/connect" and self.batch is not None:
                        message["ext"] = {"ack": self.batch}

            async def incoming(self, payload, headers=None):
                for message in payload:
                    ack = message.get("ext", {}).get("ack")
                    if message["channel"] == "/meta/handshake" and message.get("successful"):
                        agent.handshakes += 1
                        if ack:
                            self.batch = 0
                    elif message["channel"] == "/meta/connect" and type(ack) is int:
                        self.batch = ack

        # Without a limit on what waits to be read, and without its own watch on the connection, which today's asyncio
        # refuses to run.
        self.client = Client(url, ConnectionType(connection_type), extensions=[Acknowledged()],
                             connection_timeout=0, max_pending_count=0, ssl=True)
        self.messages = []
        self.handshakes = 0

    async def open(self):
        await self.client.open()
        self.reader = asyncio.ensure_future(self.read())

    async def read(self):
        async for message in self.client:
            self.messages.append([message["channel"], message["data"]])

    async def subscribe(self, channel):
        await self.client.subscribe(channel)

    async def unsubscribe(self, channel):
        await self.client.unsubscribe(channel)

    async def publish(self, channel, data):
        await self.client.publish(channel, data)

    async def publishAll(self, channel, all):
        for data in all:
            await self.client.publish(channel, data)

    def client_id(self):
        return self.client._transport.client_id

    async def close(self):
        self.reader.cancel()
        await self.client.close()


class Baiocas:
    """baiocas: Tornado's loop, long-polling alone. An application subscribes anew after each handshake."""

    def __init__(self, url, connection_type, with_ack):
        from baiocas.client import get_client
        from baiocas.extensions.ack import AckExtension

        assert connection_type == "long-polling", connection_type
        self.client = get_client(url)
        if with_ack:
            self.client.register_extension(AckExtension())
        self.channels = set()
        self.messages = []
        self.handshakes = 0
        # Who waits for an answer on which meta channel, in order.
        self.waiting = collections.defaultdict(collections.deque)
        for channel in ("/meta/connect", "/meta/disconnect", "/meta/publish", "/meta/subscribe", "/meta/unsubscribe"):
            self.client.get_channel(channel).add_listener(self.answered)
        self.client.get_channel("/meta/handshake").add_listener(self.shook_hands)

    def answer(self, channel):
        future = asyncio.get_running_loop().create_future()
        self.waiting[channel].append(future)
        return future

    def answered(self, channel, message):
        waiting = self.waiting[str(channel.channel_id)]
        if waiting:
            future = waiting.popleft()
            if message.successful:
                future.set_result(None)
            else:
                future.set_exception(RuntimeError(f"{message.error or message}"))

    def shook_hands(self, channel, message):
        if message.successful:
            self.handshakes += 1
            for known in self.channels:
                self.client.get_channel(known).subscribe(self.received)
        elif self.waiting["/meta/connect"]:
            self.waiting["/meta/connect"].popleft().set_exception(RuntimeError(f"{message.error or message}"))

    def received(self, channel, message):
        self.messages.append([str(channel.channel_id), message.data])

    async def open(self):
        connected = self.answer("/meta/connect")
        self.client.handshake()
        await connected

    async def subscribe(self, channel):
        answer = self.answer("/meta/subscribe")
        self.client.get_channel(channel).subscribe(self.received)
        await answer
        self.channels.add(channel)

    async def unsubscribe(self, channel):
        self.channels.discard(channel)
        answer = self.answer("/meta/unsubscribe")
        self.client.get_channel(channel).unsubscribe(function=self.received)
        await answer

    async def publish(self, channel, data):
        answer = self.answer("/meta/publish")
        self.client.get_channel(channel).publish(data)
        await answer

    async def publishAll(self, channel, all):
        # Its requests may overtake each other: one at a time.
        for start in range(0, len(all), 20):
            answers = []
            with self.client.batch():
                for data in all[start:start + 20]:
                    answers.append(self.answer("/meta/publish"))
                    self.client.get_channel(channel).publish(data)
            await asyncio.gather(*answers)

    async def batch(self, channel, all):
        answers = [self.answer("/meta/subscribe")]
        with self.client.batch():
            self.client.get_channel(channel).subscribe(self.received)
            for data in all:
                answers.append(self.answer("/meta/publish"))
                self.client.get_channel(channel).publish(data)
        await asyncio.gather(*answers)

    def client_id(self):
        return self.client.client_id

    async def close(self):
        answer = self.answer("/meta/disconnect")
        self.client.disconnect(sync=False)
        await answer


async def carry_out(agent, request):
    method, arguments = request["method"], request["arguments"]
    try:
        if method == "state":
            messages = agent.messages[arguments[0]:]
            result = {"messages": messages, "handshakes": agent.handshakes, "clientId": agent.client_id()}
        else:
            result = await getattr(agent, method)(*arguments)
        answer = {"id": request["id"], "result": result}
    except Exception as error:
        answer = {"id": request["id"], "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)


async def serve(agent):
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    under_way = set()
    async for line in lines:
        task = asyncio.ensure_future(carry_out(agent, json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)


if __name__ == "__main__":
    library, url, connection_type, ack = sys.argv[1:]
    # The clients take the loop that is current when they are made; baiocas must be made before it runs.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    client = {"aiocometd": AioCometd, "baiocas": Baiocas}[library](url, connection_type, ack == "ack")
    loop.run_until_complete(serve(client))
