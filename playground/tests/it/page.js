// Opens the page from disk with the network off and notes what must not happen.
"use strict";

const { chromium } = require("playwright-core");

const SWITCHES = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"];
const LIMIT_MS = 60_000;

function check(holds, what) {
  if (!holds) throw new Error(what);
}

async function visit(body, options = {}) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: SWITCHES });
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, offline: true, ...options });
    context.setDefaultTimeout(LIMIT_MS);
    const page = await context.newPage();
    const faults = [];
    page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("request", (request) => /^(file|data|blob):/.test(request.url()) || faults.push(`asked ${request.url()}`));
    await page.goto(process.argv[2]);
    await page.waitForFunction(() => document.getElementById("state").textContent.includes("runs in this page"));
    await body(page);
    check(faults.length === 0, faults.join("\n"));
  } finally {
    await browser.close();
  }
}

function run(body, options) {
  visit(body, options).catch((error) => {
    console.error(error.stack || error);
    process.exitCode = 1;
  });
}

module.exports = { check, run };
