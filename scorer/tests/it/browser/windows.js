// Many windows on one scorer, all of them seen, each with a page that follows a stream: every one of them works. A browser
// has six connections to a host for all its windows.
"use strict";

const { open, run, same } = require("./rig.js");

const WINDOWS = 7;
// Connections that are left to streams.
const STREAMS = 4;

run(async (browser, base) => {
  const first = await open(browser, base);
  const all = [first.page];
  while (all.length < WINDOWS) all.push((await open(browser, base, { context: first.context })).page);
  const to = (where) => Promise.all(all.map((page, index) => page.goto(where(index))));
  const live = (page) => page.locator(".live[data-live=yes]").waitFor();
  const answered = (page) => page.waitForFunction(async () => (await fetch("api/v1/status", { cache: "no-store" })).ok, null, { polling: 100 });

  // The same stream: an alert that is new appears in each of them.
  await to(() => `${base}/#/alerts`);
  await Promise.all(all.map(live));
  for (const page of all) same(await page.evaluate(() => document.hidden), false, "a window is hidden");
  await Promise.all(all.map(answered));
  const known = await first.page.locator(".alert-row").evaluateAll((rows) => rows.map((row) => row.dataset.id));
  const fresh = await first.page.waitForFunction((ids) => [...document.querySelectorAll(".alert-row")].map((row) => row.dataset.id).find((id) => !ids.includes(id)), known);
  await Promise.all(all.map(async (page) => page.locator(`.alert-row[data-id="${await fresh.jsonValue()}"]`).waitFor()));

  // The same tail, which nothing but the stream fills.
  await to(() => `${base}/#/logs?tail=1`);
  await Promise.all(all.map((page) => page.locator(".log-list li").first().waitFor()));
  await Promise.all(all.map(answered));

  // A tail of its own for each: some have a connection, the others say that they wait, and all get answers.
  await to(() => `${base}/#/web`);
  await Promise.all(all.map((page) => page.locator("h1", { hasText: "Web" }).waitFor()));
  for (const [index, page] of all.entries()) {
    await page.goto(`${base}/#/logs?tail=1&min_score=0.0${index}`);
    await page.locator(".live", { hasText: index < STREAMS ? /^live$/ : "waits for other windows" }).waitFor();
  }
  await Promise.all(all.map(answered));
  // Those that are closed make room.
  const waiting = all.slice(STREAMS);
  for (const page of all.slice(0, STREAMS)) await page.close();
  await Promise.all(waiting.map(live));
  await Promise.all(waiting.map((page) => page.locator(".log-list li:not(.gap)").first().waitFor()));
  same(first.faults, [], "the page's faults");
});
