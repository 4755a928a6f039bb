// Many tabs of one browser, each with a client of its own that polls. A browser opens six connections to a server, so that
// seven connects held at once would leave none for anything else.

import { agentIn, freshBrowser, tab } from "./agents.mjs";
import { eventually, holds, numbered, publish, same } from "./support.mjs";

const TABS_AT_ONCE = 8;

const tabsOf = (client) => async ({ publicAddress, privateAddress, browser }) => {
  const origin = `http://${publicAddress}`, channel = `/tabs/${client}`;
  const context = await freshBrowser(browser);
  try {
    const agents = [];
    let page, turnedAway = false;
    context.on("response", (response) => {
      if (new URL(response.url()).pathname.startsWith("/bayeux")) {
        response.text().then((text) => (turnedAway ||= text.includes('"multiple-clients":true')), () => {});
      }
    });
    for (let i = 0; i < TABS_AT_ONCE; i++) {
      page = await tab(context, origin);
      const agent = await agentIn(page, client);
      await agent.open({ url: `${origin}/bayeux`, transport: "long-polling", ack: false });
      await agent.subscribe(channel);
      agents.push(agent);
    }
    const cookies = (await context.cookies()).filter(({ name }) => name === "BAYEUX_BROWSER");
    same(cookies.map(({ httpOnly, sameSite, path }) => [httpOnly, sameSite, path]), [[true, "Lax", "/"]], "cookies:");
    const expected = [];
    for (const message of numbered(5)) {
      await publish(privateAddress, channel, message);
      expected.push([channel, message]);
      holds((await page.evaluate(async () => (await fetch("/healthz")).status)) === 200, "the site does not answer");
      for (const agent of agents) {
        await eventually(`message ${message.number}`, async () => ((await agent.state(0)).messages.length >= expected.length ? true : undefined));
      }
    }
    await eventually("a client that is not held since another one is", async () => turnedAway || undefined);
    for (const agent of agents) same((await agent.state(0)).messages, expected, "messages:");
  } finally {
    await context.close();
  }
};

export const TABS = {
  "all-get-all-with-cometd": tabsOf("cometd"),
  "all-get-all-with-faye": tabsOf("faye"),
};
