// An alert of the demo appears on the list that is open, by itself; it is reached by the keyboard and by its permalink.
"use strict";

const { check, open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  await page.goto(`${base}/#/alerts`);
  await page.evaluate(() => (window.sameDocument = true));
  const first = page.locator(".alert-row").first();
  await first.waitFor();
  check((await first.innerText()).trim().length > 10, "an alert says what it is about");
  await page.keyboard.press("Tab");
  same(await page.evaluate(() => document.activeElement.id), "skip", "the first stop of the keyboard");
  await page.keyboard.press("Enter");
  same(await page.evaluate(() => document.activeElement.id), "content", "where the first stop leads");
  await page.waitForFunction(() => document.querySelector(".live").dataset.live === "yes");
  await first.locator("a").focus();
  await page.keyboard.press("Enter");
  await page.locator("h2", { hasText: "Lines that show it" }).waitFor();
  check(await page.evaluate(() => window.sameDocument === true), "the page was loaded again");

  const id = new URL(page.url()).hash.split("/")[2];
  const heading = await page.locator("main h1").innerText();
  await page.goto(`${base}/alerts/${id}`);
  await page.locator("h2", { hasText: "Lines that show it" }).waitFor();
  same(await page.locator("main h1").innerText(), heading, "the page behind the permalink");
  same(page.url(), `${base}/#/alerts/${id}`, "where the permalink leads");
  same(faults, [], "the page's faults");
});
