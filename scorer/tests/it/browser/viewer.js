// A viewer sees an alert and the simulation, is offered nothing that changes them, and is refused when asking anyway.
// Takes the viewer's token.
"use strict";

const { check, open, run, same } = require("./rig.js");

run(async (browser, base, token) => {
  const { page, faults } = await open(browser, base, { allowed: ["401", "403"] });
  await page.goto(`${base}/#/alerts`);
  await page.locator("#token").fill(token);
  await page.locator(".sign-in button").click();
  const all = page.locator("section.card", { has: page.locator("h2", { hasText: "Silences, and what is normal" }) });
  await all.locator(".empty").waitFor();
  same(await all.getByRole("button").count(), 0, "the buttons of all decisions");
  await page.locator(".alert-row a").first().click();
  await page.locator("h2", { hasText: "Lines that show it" }).waitFor();
  for (const title of ["Silence", "This is normal"]) {
    const card = page.locator("section.card", { has: page.locator("h2", { hasText: title }) });
    await card.waitFor();
    same(await card.getByRole("button").count(), 0, `the buttons of ${title}`);
    check((await card.innerText()).includes("operator"), `${title} does not say who may do it`);
  }
  await page.goto(`${base}/#/simulation`);
  await page.getByRole("switch").first().waitFor();
  const enabled = await page.locator("main").locator("input:enabled, main button:enabled").count();
  same(enabled, 0, "what a viewer may change of the simulation");

  const asked = (path, body) =>
    page.evaluate(
      async ([path, body]) => {
        const { csrf } = await (await fetch("api/v1/session")).json();
        const headers = { "content-type": "application/json", "x-csrf-token": csrf };
        return (await fetch(`api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) })).status;
      },
      [path, body],
    );
  same(await asked("silences", { filter: "true", minutes: 60 }), 403, "a silence by a viewer");
  same(faults, [], "the page's faults");
});
