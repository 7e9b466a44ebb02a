// Takes the pictures of docs/dashboard.md, and with "phone" as the third word those of a phone: every page, light and dark.
// No test runs it: somebody does, while `scorer demo` runs, to look at the pages.
"use strict";

const { join } = require("node:path");

const { open, run } = require("./rig.js");

const PAGES = ["overview", "alerts", "alert", "logs", "threshold", "model", "web", "simulation"];

run(async (browser, base, folder, size) => {
  const viewport = size === "phone" ? { width: 390, height: 844 } : { width: 1280, height: 720 };
  for (const colorScheme of ["light", "dark"]) {
    const { page, context } = await open(browser, base, { colorScheme, viewport });
    await page.goto(`${base}/#/alerts`);
    const grave = page.locator(".alert-row a", { has: page.locator(".badge.error, .badge.critical") });
    await page.locator(".alert-row a").first().waitFor();
    const alert = (await ((await grave.count()) ? grave : page.locator(".alert-row a")).first().getAttribute("href")).replace("#/", "");
    for (const name of PAGES) {
      await page.evaluate((to) => (location.hash = `#/${to}`), name === "alert" ? alert : name);
      await page.waitForFunction(() => {
        const main = document.querySelector("main");
        return document.activeElement === main.querySelector("h1") && !main.querySelector("[hidden].grid, [hidden].stack");
      });
      await page.waitForLoadState("networkidle", { timeout: 2_000 }).catch(() => {});
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`), fullPage: size === "phone" });
    }
    await context.close();
  }
});
