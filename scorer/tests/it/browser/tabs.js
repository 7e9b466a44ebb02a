// Many tabs on one scorer in a browser without shared workers, each with a page that follows a stream: every one of them
// works. A browser has six connections to a host for all its tabs, so only those that are seen may hold one.
"use strict";

const { check, oneWindow, open, run, same } = require("./rig.js");

const TABS = 9;

run(async (browser, base) => {
  const { page, context, faults } = await open(browser, base, { context: browser.contexts()[0] });
  await context.addInitScript(() => {
    delete window.SharedWorker;
    const Real = window.EventSource;
    window.streams = [];
    window.EventSource = class extends Real {
      constructor(...all) {
        super(...all);
        window.streams.push(this);
      }
    };
    window.openStreams = () => window.streams.filter((one) => one.readyState !== Real.CLOSED).length;
  });
  await page.goto(`${base}/#/alerts`);
  await page.locator(".alert-row").first().waitFor();
  const link = await page.locator(".alert-row a").first().getAttribute("href");

  const tabs = [page];
  while (tabs.length < TABS) {
    const tab = await context.newPage();
    await tab.goto(`${base}/${tabs.length % 2 ? "#/alerts" : link}`);
    await tab.locator("main .alert-row, main .evidence").first().waitFor();
    tabs.push(tab);
  }
  for (const tab of tabs) {
    await tab.bringToFront();
    await tab.waitForFunction(() => document.visibilityState === "visible" && window.openStreams() === 1, null, { polling: 100 });
    const others = tabs.filter((one) => one !== tab);
    for (const one of others) await one.waitForFunction(() => document.hidden && window.openStreams() === 0, null, { polling: 100 });
    await tab.waitForFunction(async () => (await fetch("api/v1/status", { cache: "no-store" })).ok, null, { polling: 100 });
  }
  // What is seen again follows again, and says so.
  await page.bringToFront();
  await page.locator(".live[data-live=yes]").waitFor();
  check((await page.locator(".alert-row").count()) > 0, "the list is empty");
  same(faults, [], "the page's faults");
}, oneWindow);
