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
  const found = await new AxeBuilder({ page }).analyze();
  const serious = found.violations.filter((it) => it.impact === "serious" || it.impact === "critical");
  check(serious.length === 0, JSON.stringify(serious.map((it) => [it.id, it.nodes.map((node) => node.html)]), null, 1));
});
