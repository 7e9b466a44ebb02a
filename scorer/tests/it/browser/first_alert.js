// An alert of the demo appears on the list that is open, by itself.
"use strict";

const { check, open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  await page.goto(`${base}/#/alerts`);
  await page.evaluate(() => (window.sameDocument = true));
  const first = page.locator(".alert-row").first();
  await first.waitFor();
  check((await first.innerText()).trim().length > 10, "an alert says what it is about");
  await first.locator("a").click();
  await page.locator("h2", { hasText: "Lines that show it" }).waitFor();
  check(await page.evaluate(() => window.sameDocument === true), "the page was loaded again");
  same(faults, [], "the page's faults");
});
