// Opens the page that the first argument names in headless Chromium and prints what it shows, as JSON: the response's
// status, the title, and the texts of the heading and of the element `outcome`. With the second argument `obey`, the
// browser obeys the page's Content-Security-Policy; with `remove`, it never receives the policy.

import { createRequire } from "node:module";

// The driver of the browser is installed elsewhere, in the directory that the last argument names.
const [address, policy, browserPath, modules] = process.argv.slice(2);
const { chromium } = createRequire(`${modules}/`)("playwright-core");

// Chromium's own sandbox needs rights that containers lack.
const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  if (policy === "remove") {
    await page.route("**", async (route) => {
      const response = await route.fetch();
      const { "content-security-policy": _removed, ...headers } = response.headers();
      await route.fulfill({ response, headers });
    });
  }
  const response = await page.goto(address);
  const text = async (selector) => ((await page.locator(selector).count()) ? page.locator(selector).innerText() : null);
  const [title, heading, outcome] = [await page.title(), await text("h1"), await text("#outcome")];
  console.log(JSON.stringify({ status: response.status(), title, heading, outcome }));
} finally {
  await browser.close();
}
