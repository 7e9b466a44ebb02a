// Who raises the error rate on the page of the simulation and applies it sees alerts of errors on the page of alerts.
"use strict";

const { open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  await page.goto(`${base}/#/simulation`);
  await page.locator("#error-rate").fill("0.4");
  await page.locator(".control output[for='error-rate']", { hasText: "40.0 %" }).waitFor();
  await page.locator("#apply").click();
  await page.locator(".toast", { hasText: "Applied." }).waitFor();
  await page.reload();
  await page.locator(".control output[for='error-rate']", { hasText: "40.0 %" }).waitFor();

  await page.locator("#nav a", { hasText: "Alerts" }).click();
  const burst = page.locator(".alert-row", { hasText: /error_burst|error_rate/ }).first();
  await burst.waitFor();
  await burst.locator(".badge", { hasText: /error|critical/ }).waitFor();

  // A service that is told to be silent says so, and a burst of another goes off.
  await page.locator("#nav a", { hasText: "Simulation" }).click();
  const switches = page.locator(".switches li");
  await switches.first().locator("input").uncheck();
  await page.locator(".toast", { hasText: "is silent." }).waitFor();
  await switches.last().locator("button").click();
  await page.locator(".toast", { hasText: "A burst of errors" }).waitFor();
  same(await switches.first().locator("input").isChecked(), false, "the first service writes");
  same(faults, [], "the page's faults");
});
