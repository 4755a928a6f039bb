// The types as an application uses them: `tsc` reads this, nobody runs it.

import encke, { connect, type Feed, type Message, type Refused } from "../encke.js";

const feed: Feed = encke.connect("/", { channels: ["/chat/rome"], since: "earliest", transports: ["stream"], padding: [0, 4096] });
const off: () => void = feed.on<{ text: string }>("/chat/*", ({ data, channel }) => console.log(channel, data.text.length));
off();
feed.onstate = (state) => state === "open" && console.log(feed.transport?.length);
feed.ongap = ({ channel, missed }) => console.log(channel, missed === null ? "some" : missed + 1);
feed.onerror = ({ status, code }) => console.log(status + 1, code);
feed.publish("/chat/rome", { text: "salve" }, { event: "said" }).then(
  (answer) => console.log("id" in answer ? answer.id : answer.taken),
  (error: Refused | TypeError) => console.log(error.message),
);
void feed.subscribe("/chat/milan", { since: feed.cursor });
async function all(): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of feed) messages.push(message);
  return messages;
}
void all();
connect(new URL("https://push.example.org/"), { headers: { Authorization: "Bearer x" }, credentials: "include" }).close();
globalThis.encke.connect("/");
connect("/", { token: async (refused) => (refused ? "new" : "old"), user: "ann" }).close();

// @ts-expect-error: there is no such transport
connect("/", { transports: ["telegraph"] });
// @ts-expect-error: a handler is a function
feed.on("/chat/*", "handler");
// @ts-expect-error: a feed's state is not for others to set
feed.state = "open";
