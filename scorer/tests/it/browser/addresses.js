// An address that leads nowhere says so, whatever it is made of, and the page goes on working.
"use strict";

const { check, open, run, same } = require("./rig.js");

const NOWHERE = ["%", "alerts/%E0%A4%A", "constructor", "__proto__", "toString/x", "alerts/stream", "alerts/..", "alerts/%2e%2e", "alerts/0a/b", "logs/7", "none"];

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  for (const hash of NOWHERE) {
    await page.goto("about:blank");
    await page.goto(`${base}/#/${hash}`);
    await page.locator("main h1", { hasText: "No such page" }).waitFor();
    await page.locator("main a", { hasText: "To the overview" }).click();
    await page.locator("main h1", { hasText: "Overview" }).waitFor();
  }
  check(!asked.some((url) => url.endsWith("stream") || url.includes("/alerts/")), `asked for ${asked}`);
  await page.goto(`${base}/#/logs?text=%E0%A4%A&level=LOUD`);
  await page.locator("main h1", { hasText: "Logs" }).waitFor();
  await page.goto(`${base}/#`);
  await page.locator("main h1", { hasText: "Overview" }).waitFor();
  same(faults, [], "the page's faults");
});
