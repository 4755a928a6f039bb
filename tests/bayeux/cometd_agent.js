// CometD's JavaScript client as an agent: the few verbs that the cases are written in. Runs in Node and in a page alike,
// so it is given the library and knows nothing else of where it is.

// What an application does beside calling the library: subscribe anew after each handshake.
export function cometdAgent({ CometD, AckExtension }, context) {
  const cometd = new CometD();
  const channels = new Set(), messages = [];
  let handshakes = 0;

  const answered = (start) =>
    new Promise((resolve, reject) =>
      start((reply) => (reply.successful ? resolve() : reject(new Error(reply.error ?? `${reply.channel}: ${reply.failure?.reason}`)))));
  const listen = (channel, done) =>
    cometd.subscribe(channel, (message) => messages.push([message.channel, message.data]), done);
  const publishTogether = (channel, all) =>
    Promise.all(all.map((data) => answered((done) => cometd.publish(channel, data, done)))).then(() => {});
  const subscriptions = new Map();

  return {
    async open({ url, transport, ack }) {
      cometd.configure({ url, logLevel: "error", backoffIncrement: 100, maxBackoff: 1000 });
      for (const type of cometd.getTransportTypes()) {
        if (type !== transport) cometd.unregisterTransport(type);
        else if (context) cometd.findTransport(type).context = context;
      }
      if (ack) cometd.registerExtension("ack", new AckExtension());
      cometd.addListener("/meta/handshake", ({ successful }) => {
        if (!successful) return;
        handshakes++;
        cometd.batch(() => channels.forEach((channel) => subscriptions.set(channel, listen(channel))));
      });
      const connected = answered((done) => cometd.addListener("/meta/connect", done));
      await answered((done) => cometd.handshake(done));
      await connected;
      if (cometd.getTransport().type !== transport) throw new Error(`it went over to ${cometd.getTransport().type}`);
    },
    async subscribe(channel) {
      await answered((done) => subscriptions.set(channel, listen(channel, done)));
      channels.add(channel);
    },
    async unsubscribe(channel) {
      channels.delete(channel);
      await answered((done) => cometd.unsubscribe(subscriptions.get(channel), done));
    },
    publish: (channel, data) => answered((done) => cometd.publish(channel, data, done)),
    // By polling, some in each request: it sends the next when the last is answered. More at once would cost scripts much,
    // whose client finds out in quadratic time how many an address can hold.
    async publishAll(channel, all) {
      if (cometd.getTransport().type === "websocket") return publishTogether(channel, all);
      for (let i = 0; i < all.length; i += 20) {
        await new Promise((done, fail) => cometd.batch(() => publishTogether(channel, all.slice(i, i + 20)).then(done, fail)));
      }
    },
    // One request: a subscription and then messages.
    batch: (channel, all) =>
      new Promise((resolve, reject) =>
        cometd.batch(() => {
          const subscribed = answered((done) => subscriptions.set(channel, listen(channel, done)));
          const published = all.map((data) => answered((done) => cometd.publish(channel, data, done)));
          Promise.all([subscribed, ...published]).then(() => resolve(), reject);
        })),
    // What came since the first `from` messages, and what is known of the session.
    state: async (from) => ({ messages: messages.slice(from), handshakes, clientId: cometd.getClientId() }),
    close: async () => {
      if (!cometd.isDisconnected()) await answered((done) => cometd.disconnect(done));
    },
  };
}
