// The demo's page shows what is odd by itself.
"use strict";

const { open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  await page.goto(base);
  await page.locator("#list li").first().waitFor();
  same(faults, [], "the page's faults");
});
