// Faye's client as an agent: the few verbs that the cases are written in. Runs in Node and in a page alike. It comes
// without an extension for acknowledged messages, and gathers by itself what is sent in one go.

const TRANSPORTS = ["websocket", "eventsource", "long-polling", "cross-origin-long-polling", "callback-polling"];

// It shakes hands by polling, whatever comes after.
const SHAKES_HANDS = { websocket: "long-polling", eventsource: "long-polling", "cross-origin-long-polling": "callback-polling" };

export function fayeAgent(Faye) {
  const messages = [], subscriptions = new Map(), waiting = [];
  let client, handshakes = 0, together = 8;

  // Its promises are not quite promises.
  const settled = (promise) =>
    new Promise((resolve, reject) => promise.then(() => resolve(), (error) => reject(new Error(error.message ?? `${error}`))));
  const subscribe = (channel) => {
    const subscription = client.subscribe(channel).withChannel((from, data) => messages.push([from, data]));
    subscriptions.set(channel, subscription);
    return settled(subscription);
  };
  // Few at a time: by polling, what is longer than two kilobytes goes as several requests, which may overtake each other; and
  // what is not answered within the server's timeout, which is short here, is sent again, and so comes twice.
  const publishTogether = (channel, all) => Promise.all(all.map((data) => settled(client.publish(channel, data))));

  return {
    async open({ url, transport }) {
      client = new Faye.Client(url, { retry: 0.2, timeout: 10 });
      const kept = [transport, SHAKES_HANDS[transport]];
      TRANSPORTS.filter((type) => !kept.includes(type)).forEach((type) => client.disable(type));
      client.addExtension({
        incoming(message, callback) {
          if (message.channel === "/meta/handshake" && message.successful) handshakes++;
          if (message.channel === "/meta/unsubscribe") waiting.shift()?.(message);
          callback(message);
        },
      });
      await new Promise((connected) => client.connect(connected));
      // It goes over to a WebSocket or an event stream once that is open.
      for (let looks = 0; client._dispatcher.connectionType !== transport; looks++) {
        if (looks === 1000) throw new Error(`it stays with ${client._dispatcher.connectionType}`);
        await new Promise((passed) => setTimeout(passed, 10));
      }
    },
    subscribe,
    async unsubscribe(channel) {
      const answer = new Promise((answered) => waiting.push(answered));
      subscriptions.get(channel).cancel();
      const { successful, error } = await answer;
      if (!successful) throw new Error(error);
    },
    publish: (channel, data) => settled(client.publish(channel, data)),
    async publishAll(channel, all) {
      for (let i = 0; i < all.length; i += together) await publishTogether(channel, all.slice(i, i + together));
    },
    batch: (channel, all) => Promise.all([subscribe(channel), publishTogether(channel, all)]).then(() => {}),
    // What came since the first `from` messages, and what is known of the session.
    state: async (from) => ({ messages: messages.slice(from), handshakes, clientId: client._dispatcher.clientId }),
    close: async () => {
      const goodbye = client.disconnect();
      if (goodbye) await settled(goodbye);
    },
  };
}
