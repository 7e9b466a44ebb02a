// Going from page to page leaves nothing behind: after many switches there are as many nodes and listeners as before.
"use strict";

const { check, open, run, same } = require("./rig.js");

const PAGES = ["overview", "threshold", "model", "alerts", "logs", "simulation"];
// What pages are remembered by, such as their modules, is there after the first.
const FIRST = 5;
const ROUNDS = 10;

run(async (browser, base) => {
  const { page, context, faults } = await open(browser, base);
  await page.goto(`${base}/#/web`);
  const devtools = await context.newCDPSession(page);
  const to = async (name, shown) => {
    await page.evaluate((hash) => (location.hash = hash), `#/${name}`);
    await page.locator(shown).first().waitFor();
  };
  const round = async () => {
    for (const name of PAGES) {
      await to(name, { overview: "main canvas", threshold: "main canvas", model: "main canvas" }[name] || "main .card, main .alert-list, main .log-list");
      await page.waitForFunction(() => document.activeElement === document.querySelector("main h1"));
    }
    await to("web", "main .grid:not([hidden])");
  };
  const held = async () => {
    for (let turn = 0; turn < 3; turn += 1) await devtools.send("HeapProfiler.collectGarbage");
    const { nodes, jsEventListeners } = await devtools.send("Memory.getDOMCounters");
    return { nodes, listeners: jsEventListeners };
  };
  await page.locator("main .grid:not([hidden])").waitFor();
  for (let turn = 0; turn < FIRST; turn += 1) await round();
  const before = await held();
  for (let turn = 0; turn < ROUNDS; turn += 1) await round();
  const after = await held();
  const told = `${JSON.stringify(before)} → ${JSON.stringify(after)} after ${ROUNDS} rounds`;
  check(after.nodes < 2 * before.nodes, told);
  check(after.listeners < 2 * before.listeners, told);
  same(faults, [], "the page's faults");
  console.log(told);
});
