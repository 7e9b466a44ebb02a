// An alert is silenced and the silence ended again; what it found is called normal and that undone again.
"use strict";

const { open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  await page.goto(`${base}/#/alerts`);
  await page.locator(".alert-row a").first().click();
  const card = (title) => page.locator("section.card", { has: page.locator("h2", { hasText: title }) });

  const silence = card("Silence");
  await silence.locator("input").fill("a deploy <b>today</b>");
  await silence.getByRole("button", { name: "Silence" }).click();
  await silence.locator("li", { hasText: "a deploy <b>today</b>" }).waitFor();
  await page.locator(".toast", { hasText: "Silenced." }).getByRole("button", { name: "Undo" }).click();
  await silence.locator("li").waitFor({ state: "detached" });

  const normal = card("This is normal");
  await normal.locator("input").fill("every night");
  await normal.getByRole("button", { name: "This is normal" }).click();
  await normal.locator("li", { hasText: "every night" }).waitFor();
  await page.reload();
  await normal.locator("li", { hasText: "every night" }).getByRole("button", { name: "Undo" }).click();
  await normal.locator("li").waitFor({ state: "detached" });

  await card("Who was told").waitFor();
  await card("History").locator("li").first().waitFor();
  same(faults, [], "the page's faults");
});
