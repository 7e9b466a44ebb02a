// The answer to the last question is the one that is shown, however late that to another comes; a service is offered by
// its whole name; the text finds services and detectors, too.
"use strict";

const { open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  await page.goto(`${base}/#/alerts`);
  const rows = page.locator(".alert-row");
  await page.waitForFunction(() => new Set([...document.querySelectorAll(".alert-row b")].map((one) => one.innerText)).size >= 2);
  const [one, other] = [...new Set(await rows.locator("b").allInnerTexts())];
  await page.waitForFunction((name) => [...document.querySelectorAll("datalist option")].some((option) => option.value === name), one);

  const late = (url) => url.pathname.endsWith("/alerts") && url.searchParams.get("service") === one;
  let release = null;
  const held = new Promise((go) => (release = go));
  await page.route(late, async (route) => {
    await held;
    await route.continue().catch(() => {});
  });
  const asked = page.waitForRequest((request) => late(new URL(request.url())));
  const dropped = page.waitForEvent("requestfailed", (request) => late(new URL(request.url())));
  await page.locator("#alert-service").fill(one);
  await asked;
  await page.locator("#alert-service").fill(other);
  const only = (name) =>
    page.waitForFunction((wanted) => {
      const found = [...document.querySelectorAll(".alert-row b")].map((row) => row.innerText);
      return found.length > 0 && found.every((row) => row === wanted);
    }, name);
  await only(other);
  release();
  await dropped;
  await only(other);

  await page.locator("#alert-service").fill("");
  await page.waitForFunction(() => new Set([...document.querySelectorAll(".alert-row b")].map((row) => row.innerText)).size >= 2);
  await page.locator("#alert-text").fill(other.toUpperCase());
  await page.waitForFunction((text) => location.hash.includes(`text=${text}`) && !location.hash.includes("service="), other.toUpperCase());
  await only(other);
  same(faults, [], "the page's faults");
});
