// What a viewer costs: paints of the overview, the scorer's processor time without anybody and with the live tail, and
// the tail's memory. Prints what it measured as JSON, its progress on standard error; judges nothing.
"use strict";

const { execFileSync } = require("node:child_process");
const { readFileSync } = require("node:fs");
const { setTimeout: pause } = require("node:timers/promises");

const { check, open, run, same } = require("../../../scorer/tests/it/browser/rig.js");

const PAINTS = 5;
const SAMPLE_MS = 15_000;
// Of the tail's time, before it is open and again after: what changes by itself as the scorer runs falls out.
const QUIET = 0.1;

const TICKS_PER_S = Number(execFileSync("getconf", ["CLK_TCK"]));

const say = (text) => console.error(text);

// User and system time so far, s. The name in brackets may hold blanks.
function processor(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

function resident(pid) {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  check(kib, `process ${pid} has no resident memory`);
  return Number(kib[1]) * 1024;
}

async function scored(base) {
  const page = await (await fetch(`${base}/metrics`)).text();
  const value = /^isolog_lines_scored_total (\S+)$/m.exec(page);
  check(value, "the metrics do not count scored lines");
  return Number(value[1]);
}

const stand = async (base, pid) => ({ at: performance.now() / 1000, cpu: processor(pid), lines: await scored(base) });

async function since(before, base, pid) {
  const now = await stand(base, pid);
  const seconds = now.at - before.at;
  return { seconds, cores: (now.cpu - before.cpu) / seconds, lines: now.lines - before.lines };
}

// Milliseconds until the first content was painted, and until the services were there.
async function paint(browser, base) {
  const { page, context, faults } = await open(browser, base);
  await page.goto(`${base}/#/overview`);
  const filled = await page.waitForFunction(() => document.querySelector(".lanes .lane") && performance.now());
  const first = await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  const found = { first_ms: await first.jsonValue(), filled_ms: await filled.jsonValue() };
  same(faults, [], "the overview's faults");
  await context.close();
  return found;
}

async function quiet(base, pid, ms, when) {
  say(`nobody looks, ${when} the tail: ${(ms / 1000).toFixed(0)} s`);
  const before = await stand(base, pid);
  await pause(ms);
  return since(before, base, pid);
}

// The process of the only page: that of the renderers which has worked most, since Chromium keeps a spare one.
async function renderer(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const renderers = processInfo.filter((one) => one.type === "renderer");
  check(renderers.length > 0, "Chromium names no renderer");
  return renderers.reduce((most, one) => (one.cpuTime > most.cpuTime ? one : most)).id;
}

async function memory(session, process) {
  await session.send("HeapProfiler.collectGarbage");
  const { metrics } = await session.send("Performance.getMetrics");
  const heap = metrics.find((one) => one.name === "JSHeapUsedSize");
  check(heap, "Chromium does not tell the heap's size");
  return { heap: heap.value, resident: resident(process) };
}

async function tail(browser, base, pid, ms) {
  say(`the live tail is open: ${(ms / 1000).toFixed(0)} s`);
  const { page, context, faults } = await open(browser, base);
  await page.goto(`${base}/#/logs?tail=1`);
  await page.locator(".log-list li").first().waitFor();
  const newest = () => page.evaluate(() => document.querySelector(".log-list li").innerText);
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable");
  const process = await renderer(browser);

  const [before, held, began] = [await stand(base, pid), await newest(), performance.now()];
  const samples = [];
  for (let at = SAMPLE_MS; at <= ms; at += SAMPLE_MS) {
    await pause(Math.max(0, began + at - performance.now()));
    samples.push(await memory(session, process));
    const [heap, whole] = Object.values(samples.at(-1)).map((bytes) => (bytes / 2 ** 20).toFixed(1));
    say(`${(at / 1000).toFixed(0)} s: heap ${heap} MiB, renderer ${whole} MiB`);
  }
  await pause(Math.max(0, began + ms - performance.now()));
  const account = await since(before, base, pid);
  check((await newest()) !== held, "the tail stands still");
  same(await page.locator(".live").getAttribute("data-live"), "yes", "whether the tail is live");
  const passed = await page.locator("#skipped").textContent();
  same(faults, [], "the tail's faults");
  await context.close();
  return { account, samples, passed };
}

run(async (browser, base, pid, seconds) => {
  const ms = Number(seconds) * 1000;
  const paints = [];
  for (let round = 0; round < PAINTS; round += 1) paints.push(await paint(browser, base));
  say(`first paints: ${paints.map((one) => one.first_ms.toFixed(0)).join(", ")} ms`);
  const before = await quiet(base, pid, QUIET * ms, "before");
  const viewed = await tail(browser, base, pid, ms);
  const after = await quiet(base, pid, QUIET * ms, "after");
  console.log(JSON.stringify({ paints, before, viewed, after }));
});
