// What the scripts share: Debian's Chromium under Playwright, and a page that keeps count of what must not happen.
"use strict";

const { spawn } = require("node:child_process");
const { existsSync, mkdtempSync, readFileSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { setTimeout: pause } = require("node:timers/promises");

const { chromium } = require("playwright-core");

// Longest wait for anything that the page or the scorer has to do.
const LIMIT_MS = 90_000;

const SWITCHES = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

function check(holds, what) {
  if (!holds) throw new Error(what);
}

function same(found, expected, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  check(a === b, `${what}: ${a} instead of ${b}`);
}

// Opens a page that notes its own faults: console errors, uncaught ones, requests to other hosts, dialogs, and what the
// Content-Security-Policy forbade. `allowed` are parts of console errors that the test provokes.
async function open(browser, base, options = {}) {
  const { allowed = [], context: given, ...rest } = options;
  const context = given || await browser.newContext({ viewport: { width: 1280, height: 720 }, locale: "en-GB", ...rest });
  context.setDefaultTimeout(LIMIT_MS);
  const faults = [];
  const host = new URL(base).host;
  await context.addInitScript(() => {
    window.addEventListener("securitypolicyviolation", (event) => {
      console.error("CSP forbade", event.violatedDirective, event.blockedURI, event.sample);
    });
  });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const text = `${message.text()} ${message.location().url}`;
    if (!allowed.some((part) => text.includes(part))) faults.push(`console error: ${text}`);
  });
  page.on("pageerror", (error) => faults.push(`uncaught: ${error.stack || error}`));
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.host !== host && url.protocol !== "data:" && url.protocol !== "blob:") {
      faults.push(`request to another host: ${request.url()}`);
    }
  });
  return { page, context, faults };
}

const headless = () => chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: SWITCHES });

// A browser whose tabs are one window's: it shows one of them and hides the others, as Playwright's own never does.
async function oneWindow() {
  const folder = mkdtempSync(join(tmpdir(), "isolog-window-"));
  const told = join(folder, "DevToolsActivePort");
  const all = ["--pdeathsig", "KILL", "--", process.env.CHROMIUM, "--headless", ...SWITCHES, "--remote-debugging-port=0", `--user-data-dir=${folder}`];
  const child = spawn("setpriv", all, { stdio: "ignore" });
  const ended = new Promise((done) => child.once("exit", done));
  for (const start = Date.now(); !existsSync(told) || !readFileSync(told, "utf8").includes("\n"); await pause(50)) {
    check(child.exitCode === null && Date.now() - start < LIMIT_MS, "Chromium does not start");
  }
  const browser = await chromium.connectOverCDP(`http://127.0.0.1:${readFileSync(told, "utf8").split("\n")[0]}`, { noDefaults: true });
  const close = async () => {
    // It ends its own processes, which write to the folder until they are gone; what closes here is the connection alone.
    const session = await browser.newBrowserCDPSession();
    await session.send("Browser.close").catch(() => child.kill("SIGKILL"));
    await ended;
    rmSync(folder, { recursive: true, force: true, maxRetries: 30 });
  };
  return { contexts: () => browser.contexts(), close };
}

// Runs a script's body with a browser and the page's address, and ends the process with what came of it.
function run(body, begin = headless) {
  const [base, ...rest] = process.argv.slice(2);
  (async () => {
    const browser = await begin();
    try {
      await body(browser, base, ...rest);
    } finally {
      await browser.close();
    }
  })().catch((error) => {
    console.error(error.stack || error);
    process.exitCode = 1;
  });
}

module.exports = { LIMIT_MS, check, oneWindow, open, run, same };
