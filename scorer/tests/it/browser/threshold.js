// The slider moves the share, the alerts a day and the setting; prints the setting that it copied.
"use strict";

const { check, open, run, same } = require("./rig.js");

run(async (browser, base) => {
  const { page, context, faults } = await open(browser, base);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.goto(`${base}/#/threshold`);
  const setting = page.locator("#setting");
  await setting.filter({ hasText: /ANOMALY_SCORE_THRESHOLD=/ }).waitFor();
  const before = await page.locator(".tiles").innerText();
  const written = await setting.innerText();
  await page.locator("#threshold").focus();
  for (let step = 0; step < 60; step += 1) await page.keyboard.press("ArrowLeft");
  // Until the answer to the last step is there, and none is on its way.
  await page.waitForFunction((old) => {
    const now = document.getElementById("setting").innerText;
    return now !== old && Number(now.split("=")[1]) === Number(document.getElementById("threshold").value);
  }, written);
  const after = await page.locator(".tiles").innerText();
  check(after !== before, `the slider changes nothing: ${after}`);
  const units = { K: 1e3, M: 1e6, B: 1e9 };
  const number = (text, name) => {
    const shown = text.split(`${name}\n`)[1].split("\n")[0];
    return Number(shown.replace(/[^\d.]/g, "")) * (units[shown.trim().at(-1)] || 1);
  };
  check(number(after, "Odd lines a day") > number(before, "Odd lines a day"), `a lower threshold, fewer odd lines: ${before} → ${after}`);
  // A field that somebody empties to write another number offers nothing meanwhile.
  const offered = await setting.innerText();
  await page.locator("#threshold-number").fill("");
  same(await setting.innerText(), offered, "the setting beside an empty field");
  await page.locator("#threshold-number").blur();
  check((await page.locator("#threshold-number").inputValue()) !== "", "the field stays empty");
  await page.locator("#copy-setting").click();
  await page.locator(".toast", { hasText: "Copied." }).waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  same(copied, await setting.innerText(), "the clipboard");
  same(faults, [], "the page's faults");
  console.log(copied);
});
