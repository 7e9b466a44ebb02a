// With a token the page asks for it, refuses a wrong one, keeps the session over a reload and ends it when told so.
// Takes the operator's token and the viewer's.
"use strict";

const { check, open, run, same } = require("./rig.js");

async function enter(page, token) {
  await page.locator("#token").fill(token);
  await page.locator(".sign-in button").click();
}

run(async (browser, base, operator, viewer) => {
  const { page, context, faults } = await open(browser, base, { allowed: ["401", "403"] });
  await page.goto(`${base}/#/overview`);
  await page.locator("h1", { hasText: "Sign in" }).waitFor();
  await enter(page, "not-the-token");
  await page.locator(".sign-in .wrong", { hasText: /\S/ }).waitFor();
  await enter(page, operator);
  await page.locator("h1", { hasText: "Overview" }).waitFor();
  await page.reload();
  await page.locator("h1", { hasText: "Overview" }).waitFor();
  const kept = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie]));
  check(!kept.includes(operator), "the token is where a script can read it");
  const cookies = await context.cookies();
  same(cookies.map((one) => [one.httpOnly, one.sameSite]), [[true, "Strict"]], "the cookie of the session");
  // Web accesses are summed up without a setting.
  await page.goto(`${base}/#/web`);
  await page.locator("main .empty", { hasText: "No web access in the last hour." }).first().waitFor();
  same(await page.locator("main .notice.bad").count(), 0, "what failed");
  await page.goto(`${base}/#/overview`);
  const role = () => page.evaluate(async () => (await (await fetch("api/v1/session")).json()).role);
  same(await role(), "operator", "the role");
  await page.locator("#sign-out").click();
  await page.locator("h1", { hasText: "Sign in" }).waitFor();
  await page.reload();
  await page.locator("h1", { hasText: "Sign in" }).waitFor();
  await enter(page, viewer);
  await page.locator("h1", { hasText: "Overview" }).waitFor();
  same(await role(), "viewer", "the role");
  same(faults, [], "the page's faults");
});
