// The live tail shows lines as they come, stands still while it is paused, counts what it passes over in a flood, and
// never lets the page grow.
"use strict";

const { check, open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  await page.goto(`${base}/#/logs`);
  await page.locator("#tail").click();
  const lines = page.locator(".log-list li");
  await lines.first().waitFor();
  await page.waitForFunction(() => document.querySelectorAll(".log-list li").length === 500);

  await page.locator("#pause").click();
  const held = await lines.first().innerText();
  await page.locator("#pause", { hasText: /Go on \(\d+ waiting\)/ }).waitFor();
  // More than the page holds has come meanwhile.
  await page.locator("#skipped", { hasText: /[1-9].* skipped/ }).waitFor();
  same(await lines.first().innerText(), held, "the newest line while paused");
  same(await lines.count(), 500, "lines while paused");

  await page.locator("#pause").click();
  await page.waitForFunction((text) => document.querySelector(".log-list li").innerText !== text, held);
  check((await lines.count()) <= 500, "the page grows");
  await page.locator("#tail", { hasText: "Stop the tail" }).click();
  await page.locator("#tail", { hasText: "Live tail" }).waitFor();
  same(faults, [], "the page's faults");
});
