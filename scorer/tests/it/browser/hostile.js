// Lines that would like to be more than text are text. Takes how many there are and how long one is.
"use strict";

const { check, open, run, same } = require("./rig.js");

run(async (browser, base, many, length) => {
  const { page, faults } = await open(browser, base);
  await page.addInitScript(() => {
    window.reached = () => (window.wasReached = true);
  });
  await page.goto(`${base}/#/logs`);
  await page.waitForFunction((count) => document.querySelectorAll(".log-list li").length === count, Number(many));
  const texts = await page.locator(".log-list .message").allInnerTexts();
  const shown = texts.join("\n");
  for (const part of ["<script>", "<img src=x onerror=", "javascript:", "⟨U+001B⟩[31m", "⟨U+202E⟩", "␀␀␀", "{{constructor"]) {
    check(shown.includes(part), `${part} is not shown as text:\n${shown.slice(0, 4_000)}`);
  }
  check(texts.every((text) => text.length < Number(length) / 2), "a long line is shown at its full length");
  for (const name of ["overview", "alerts", "model", "threshold"]) {
    await page.evaluate((to) => (location.hash = `#/${to}`), name);
    await page.waitForFunction(() => document.activeElement === document.querySelector("main h1"));
    await page.waitForFunction(() => document.querySelector("main .card, main .alert-list, main .empty"));
  }
  const alerts = page.locator(".alert-row a");
  await page.evaluate(() => (location.hash = "#/alerts"));
  await alerts.first().waitFor();
  const links = await alerts.evaluateAll((all) => all.map((one) => one.getAttribute("href")));
  for (const link of links.slice(0, 10)) {
    await page.evaluate((to) => (location.hash = to), link);
    await page.locator("h2", { hasText: "Lines that show it" }).waitFor();
  }
  const made = await page.evaluate(() => [...document.querySelectorAll("main script, main iframe, main img, main object, main style, main base")].length);
  same(made, 0, "elements made by lines");
  same(await page.evaluate(() => window.wasReached === true), false, "a line's script ran");
  same(faults, [], "dialogs, CSP reports and other faults");
});
