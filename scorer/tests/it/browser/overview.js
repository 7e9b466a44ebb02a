// What somebody opened on the overview stays open and keeps the focus while figures come; ten minutes have labels that
// tell their bars apart.
"use strict";

const { check, open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  await page.goto(`${base}/#/overview?minutes=10`);
  const summary = page.locator(".warming summary");
  // What is hidden, as it is before the first figures, takes no focus.
  await summary.waitFor();
  await summary.focus();
  await page.keyboard.press("Enter");
  await page.locator(".warming li", { hasText: "needs" }).first().waitFor();
  for (const path of ["overview", "status", "status", "overview"]) {
    await page.waitForResponse((answer) => answer.url().includes(`api/v1/${path}`));
  }
  same(await page.evaluate(() => [document.querySelector(".warming").open, document.activeElement.tagName]), [true, "SUMMARY"], "open, focus");
  const detectors = await page.locator(".warming li b").allInnerTexts();
  same(detectors.length, new Set(detectors).size, "each detector is named once");
  check((await summary.innerText()).startsWith(`${detectors.length} detector`), await summary.innerText());

  const card = page.locator("figure.card", { has: page.locator("h2", { hasText: "Anomalies over time" }) });
  await card.getByRole("button", { name: "As a table" }).click();
  const times = await card.locator("tbody th").allInnerTexts();
  check(times.length > 10, `${times.length} rows`);
  same(new Set(times).size, times.length, "rows told apart by their times");
  same(faults, [], "the page's faults");
});
