// Presses the button: six ERROR lines, one alert, one delivery on screen.
"use strict";

const AxeBuilder = require("@axe-core/playwright").default;
const { check, run } = require("./page.js");

run(async (page) => {
  // Nothing but the lines of the button: what is simulated beside them would be luck.
  for (const id of ["errors", "odd"]) await page.locator(`#${id}`).fill("0");
  const lines = page.locator("#lines li");
  await lines.first().waitFor();
  await page.getByRole("button", { name: "Append six ERROR lines" }).click();
  const delivered = page.locator("#posts li[data-service=billing_api]");
  await delivered.first().waitFor();
  check((await delivered.locator("pre").textContent()).includes('"error_burst"'), "the delivery names the burst");
  const seen = await page.locator("#scored").textContent();
  await page.waitForFunction((seen) => Number(document.getElementById("scored").textContent) > Number(seen) + 20, seen);
  check((await delivered.count()) === 1, "one delivery");
  check((await page.locator("#alerts li[data-status]", { hasText: "billing_api" }).count()) === 1, "one alert");
  await page.getByRole("button", { name: "Pause" }).click();
  // A line that hides its order, and one that is one long word: the one is written out, the other stays beside nothing.
  for (const own of ["ERROR \u202egnihton", `ERROR ${"x".repeat(1_500)}`]) {
    await page.locator("#own").fill(own);
    await page.locator("#own").press("Enter");
  }
  await lines.filter({ hasText: "xxxx" }).first().waitFor();
  const shown = await page.locator("body").innerText();
  check(shown.includes("⟨U+202E⟩") && !shown.includes("\u202e"), "a character that turns the text is not written out");
  const beside = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(beside <= 0, `${beside} pixels are beside the screen`);
  const found = await new AxeBuilder({ page }).analyze();
  const serious = found.violations.filter((it) => it.impact === "serious" || it.impact === "critical");
  check(serious.length === 0, JSON.stringify(serious.map((it) => [it.id, it.nodes.map((node) => node.html)]), null, 1));
});
