// A search of the logs stands in the address, so that it can be passed on; a tail takes no times.
"use strict";

const { check, open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  await page.goto(`${base}/#/logs`);
  const lines = page.locator(".log-list li");
  await lines.first().waitFor();
  const service = await lines.first().locator(".service").innerText();
  await page.locator("#log-service").fill(service);
  await page.locator("#log-from").fill("2020-01-01T00:00:01");
  await page.getByRole("button", { name: "Search" }).click();
  await page.waitForFunction(() => location.hash.includes("from=2020-01-01T00"));
  await page.reload();
  await page.waitForFunction((name) => {
    const found = [...document.querySelectorAll(".log-list li .service")].map((one) => one.innerText);
    return found.length > 0 && found.every((one) => one === name);
  }, service);
  same(await page.locator("#log-service").inputValue(), service, "the service after a reload");

  await page.locator("#tail").click();
  check(await page.locator("#log-from").isDisabled(), "a tail takes a time");
  check(page.url().includes("tail=1"), `the address does not say tail: ${page.url()}`);
  await page.locator("#tail", { hasText: "Stop the tail" }).click();
  check(await page.locator("#log-until").isEnabled(), "a search takes no time");
  same(faults, [], "the page's faults");
});
