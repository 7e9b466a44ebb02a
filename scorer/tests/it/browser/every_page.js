// Every page, light and dark, wide and on a phone: no fault, no serious finding of axe, nothing beside the screen,
// the focus on its heading, and every chart also as a table. Takes the pages to look at; `alert` is the first one's.
"use strict";

const axe = require("@axe-core/playwright").default;
const { check, open, run, same } = require("./rig.js");

const SIZES = { wide: { width: 1280, height: 720 }, phone: { width: 390, height: 844 } };

async function settle(page) {
  await page.locator("main h1").waitFor();
  // A page that waits for its data, or could not have it, is not the page.
  await page.waitForFunction(() => {
    const main = document.querySelector("main");
    return main.querySelector(".card, .alert-list, .log-list, .empty") && !main.querySelector("[hidden].grid, [hidden].stack");
  });
  const trouble = page.locator("main .notice.bad");
  check((await trouble.count()) === 0, `${page.url()} says: ${await trouble.allInnerTexts()}`);
}

async function tables(page) {
  const toggles = page.locator("main figure.card button", { hasText: "As a table" });
  const many = await toggles.count();
  for (let left = many; left > 0; left -= 1) await toggles.first().click();
  const found = page.locator("main figure.card .numbers table");
  same(await found.count(), many, `tables beside charts of ${page.url()}`);
  for (const table of await found.all()) check((await table.locator("thead th").count()) >= 2, "a table has a head");
}

async function look(page, name, where) {
  const result = await new axe({ page }).analyze();
  const grave = result.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const told = grave.map((one) => `${one.id}: ${one.help}\n  ${one.nodes.map((node) => `${node.html}\n    ${node.failureSummary}`).join("\n  ")}`);
  check(told.length === 0, `${where}, ${name}:\n${told.join("\n")}`);
}

// The look itself must be able to find something.
async function proveLook(page) {
  await page.evaluate(() => document.querySelector("main").append(new Image(20, 20)));
  const seen = await look(page, "proof", "an image without a text").then(() => false, () => true);
  check(seen, "axe finds nothing in a page with a serious fault");
}

async function firstAlert(page) {
  await page.evaluate(() => (location.hash = "#/alerts"));
  const link = page.locator(".alert-row a").first();
  await link.waitFor();
  return (await link.getAttribute("href")).replace("#/", "");
}

run(async (browser, base, ...names) => {
  for (const colorScheme of ["light", "dark"]) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const { page, context, faults } = await open(browser, base, { colorScheme, viewport });
      await page.goto(base);
      await settle(page);
      if (size === "wide") await proveLook(page);
      const alert = names.includes("alert") ? await firstAlert(page) : "";
      for (const name of names.map((one) => (one === "alert" ? alert : one))) {
        const where = `${colorScheme}, ${size}`;
        await page.evaluate(() => (location.hash = "#/none"));
        await page.evaluate((to) => (location.hash = `#/${to}`), name);
        await page.waitForFunction((to) => document.activeElement === document.querySelector("main h1") && location.hash === `#/${to}`, name);
        await settle(page);
        check((await page.title()).endsWith("Isolog"), "a page has its title");
        await look(page, name, where);
        await tables(page);
        if (size === "wide") await look(page, `${name} as tables`, where);
        const beside = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        check(beside <= 0, `${where}, ${name}: ${beside} pixels are beside the screen`);
      }
      same(faults, [], `faults, ${colorScheme}, ${size}`);
      await context.close();
    }
  }
});
