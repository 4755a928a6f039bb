// Opens the page of a binding's example in Chromium and waits until it shows a text that was published.
//
//   node tests/client/example.mjs ADDRESS TEXT     from the repository's root

import { newPage, withBrowser } from "../browser/support.mjs";

const [address, text] = process.argv.slice(2);
await withBrowser(async (browser) => {
  const page = await newPage(browser);
  await page.goto(address);
  await page.getByText(text, { exact: true }).waitFor();
  console.log(`shown: ${text}`);
});
