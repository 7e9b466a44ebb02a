// An alert is silenced by the keyboard and the silence ended again; what it found is called normal and that undone on
// the page of alerts. Each says who did it, and nobody loses the place: the focus is where the hand is.
"use strict";

const { check, open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, faults } = await open(browser, base);
  await page.goto(`${base}/#/alerts`);
  await page.locator(".alert-row a").first().click();
  const card = (title) => page.locator("section.card", { has: page.locator("h2", { hasText: title }) });
  const focused = (what) => page.waitForFunction((wanted) => document.activeElement.matches(wanted), what);

  const silence = card("Silence");
  await silence.locator("input").fill("a deploy <b>today</b>");
  await page.keyboard.press("Enter");
  const made = silence.locator("li", { hasText: "a deploy <b>today</b>" });
  await made.waitFor();
  check(/· operator at \S+, \d\d:\d\d:\d\d/.test(await made.innerText()), `nobody made it at any time: ${await made.innerText()}`);
  await focused("#silence-comment");
  await page.locator(".toast", { hasText: "Silenced." }).getByRole("button", { name: "Undo" }).click();
  await silence.locator("li").waitFor({ state: "detached" });
  await focused("#silence-comment");

  await silence.getByRole("button", { name: "Silence" }).click();
  await focused("#silence-button");
  // The history says when it was silenced, which is not when something was found last.
  const silenced = card("History").locator("li", { hasText: "silenced as" }).last();
  await silenced.waitFor();
  const { history } = await page.evaluate(async () => (await fetch(`api/v1/alerts/${location.hash.split("/")[2]}`)).json());
  const told = await silenced.locator("time").getAttribute("datetime");
  const record = history.find((one) => one.cause === "muted" && one.recorded_at === told);
  check(record && record.last_seen !== told, `silenced at ${told}: ${JSON.stringify(history)}`);
  await silence.locator("li").getByRole("button", { name: "End it" }).click();
  await silence.locator("li").waitFor({ state: "detached" });
  await focused("#silence-button");

  const normal = card("This is normal");
  await normal.locator("input").fill("every night");
  await normal.getByRole("button", { name: "This is normal" }).click();
  await normal.locator("li", { hasText: "every night" }).waitFor();
  await focused("#normal-button");
  await card("Who was told").waitFor();
  await card("History").locator("li").first().waitFor();

  // A comment that is being written stays while the page is brought up to date.
  await silence.locator("input").fill("half a sen");
  await page.waitForResponse((answer) => /alerts\/[0-9a-f]{32}$/.test(answer.url()));
  same(await silence.locator("input").inputValue(), "half a sen", "the comment");
  await focused("#silence-comment");

  await page.goto(`${base}/#/alerts`);
  const all = card("Silences, and what is normal");
  await all.locator("li", { hasText: "every night" }).getByRole("button", { name: "Undo" }).click();
  await all.locator("li", { hasText: "every night" }).waitFor({ state: "detached" });
  await focused("h2");
  same(faults, [], "the page's faults");
});
