// The page around the engine: asks it, and shows what it says. It decides nothing about a line, a window or an alert,
// and text of a log line is only ever set as text.
"use strict";

const KEEP = { lines: 60, odds: 8, findings: 12, alerts: 20, posts: 12, points: 240 };
const EVERY_MS = 250;
const byId = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const counts = { scored: 0, odd: 0, bad: 0, posts: 0 };
const points = [];
const alerts = new Map();
let engine = null;
let threshold = 1;
let running = true;
let clock = Date.now();
let before = performance.now();

async function unpack() {
  const packed = Uint8Array.from(atob(byId("module").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  const { instance } = await WebAssembly.instantiate(bytes, {});
  return instance.exports;
}

function ask(question) {
  const bytes = new TextEncoder().encode(JSON.stringify(question));
  const place = engine.room(bytes.length);
  new Uint8Array(engine.memory.buffer, place, bytes.length).set(bytes);
  const length = engine.ask();
  const answer = new Uint8Array(engine.memory.buffer, engine.answer(), length);
  return JSON.parse(new TextDecoder().decode(answer));
}

// C0 and C1 control characters but tab and newline, and the format characters that reorder or hide text: written out.
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;
const named = (character) => `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
const plain = (text) => String(text).replace(UNSEEN, named);

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = plain(text);
  return made;
}

function push(id, item, keep) {
  const list = byId(id);
  list.prepend(item);
  while (list.children.length > keep) list.lastElementChild.remove();
}

const time = (text) => text.slice(11, 19);
const shape = { info: "○", warning: "△", error: "◆", critical: "■" };

function badge(severity) {
  return element("span", "badge " + severity, (shape[severity] || "") + " " + severity);
}

function showLine(line) {
  counts.scored += 1;
  const item = element("li", line.odd ? "odd" : "");
  if (line.rejected) {
    counts.bad += 1;
    item.append(element("span", "score", "–"), element("span", "text", `not readable: ${line.rejected}: ${line.record}`));
  } else {
    counts.odd += line.odd ? 1 : 0;
    points.push({ score: line.score, odd: line.odd });
    const level = element("span", "level " + (line.level || ""), line.level || "–");
    const text = `${time(line.timestamp)}  ${line.service}  ${line.message}`;
    item.append(element("span", "score", line.score.toFixed(2) + (line.odd ? " !" : "")), level, element("span", "text", text));
    if (line.odd) showOdd(line);
  }
  push("lines", item, KEEP.lines);
}

function showOdd(line) {
  const item = element("li");
  item.append(element("p", "text", `${line.service || "(no service)"}: ${line.message}`));
  const words = element("p", "words");
  for (const why of line.reasons) {
    const word = element("mark", "", why.word);
    word.title = `${why.contribution.toFixed(1)} nats`;
    words.append(word, why.seen === 0 ? " never seen " : why.seen === 1 ? " seen once " : ` seen ${whole.format(why.seen)} times `);
  }
  item.append(words);
  if (line.nearest_pattern) item.append(element("p", "near", "nearest usual: " + line.nearest_pattern));
  push("odds", item, KEEP.odds);
}

function showWindows(windows) {
  const rows = windows.filter((it) => it.open || it.value > it.bound).slice(0, 8).map((it) => {
    const row = element("tr", it.value > it.bound ? "over" : "");
    const bar = element("meter");
    bar.max = Math.max(it.bound + 1, it.value);
    bar.value = it.value;
    bar.setAttribute("aria-hidden", "true");
    const cell = element("td", "", it.value > it.bound ? `${it.value}, more than ${it.bound} ` : `${it.value}, may be ${it.bound} `);
    cell.append(bar);
    row.append(element("td", "", it.service), element("td", "", `${time(it.start)}–${time(it.end)}`), cell);
    return row;
  });
  if (rows.length === 0) {
    const row = element("tr");
    const cell = element("td", "quiet", "no ERROR lines in an open window");
    cell.colSpan = 3;
    row.append(cell);
    rows.push(row);
  }
  byId("windows").replaceChildren(...rows);
}

function showFinding(found) {
  const item = element("li");
  item.append(badge(found.severity), element("span", "text", ` ${found.detector} · ${found.service}: ${found.message}`));
  push("findings", item, KEEP.findings);
}

function showAlert(told) {
  let item = alerts.get(told.id);
  if (!item) {
    item = element("li");
    alerts.set(told.id, item);
    push("alerts", item, KEEP.alerts);
    for (const [id, kept] of alerts) if (!kept.isConnected) alerts.delete(id);
  }
  item.dataset.alert = told.id;
  item.dataset.status = told.status;
  const head = element("p", "head");
  head.append(badge(told.severity), element("b", "", told.service), element("span", "status", told.status));
  const lines = element("ul", "evidence");
  for (const line of told.evidence) lines.append(element("li", "", `${time(line.timestamp)} ${line.level || ""} ${line.message}`));
  item.replaceChildren(head, element("p", "", told.message), lines);
  for (const reason of told.reasons) item.append(element("p", "near", reason));
  item.append(element("p", "near", `${whole.format(told.count)} anomalies, ${time(told.first_seen)}–${time(told.last_seen)}, revision ${told.revision}`));
}

function showPost(told) {
  counts.posts += 1;
  const item = element("li");
  item.dataset.service = told.service;
  item.append(element("p", "head", `POST · webhook-id: ${told.id}-${told.revision}`));
  const body = element("pre", "", JSON.stringify(told, null, 1));
  body.tabIndex = 0;
  const box = element("details");
  box.append(element("summary", "", `${told.severity}: ${told.service}: ${told.message}`), body);
  item.append(box);
  push("posts", item, KEEP.posts);
}

function showChart() {
  points.splice(0, Math.max(0, points.length - KEEP.points));
  const canvas = byId("chart");
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const { width, height } = canvas;
  const y = (score) => height - 4 - score * (height - 8);
  context.clearRect(0, 0, width, height);
  context.strokeStyle = style.getPropertyValue("--odd");
  context.setLineDash([6, 4]);
  context.beginPath();
  context.moveTo(0, y(threshold));
  context.lineTo(width, y(threshold));
  context.stroke();
  points.forEach((point, at) => {
    const x = width - (points.length - at) * (width / KEEP.points);
    context.fillStyle = style.getPropertyValue(point.odd ? "--odd" : "--calm");
    const size = point.odd ? 7 : 3;
    context.fillRect(x - size / 2, y(point.score) - size / 2, size, size);
  });
}

function show(answer) {
  if (answer.error) {
    byId("state").textContent = answer.error;
    return;
  }
  answer.lines.forEach(showLine);
  answer.findings.forEach(showFinding);
  for (const told of answer.alerts) {
    showAlert(told);
    if (told.notify.length > 0) showPost(told);
  }
  if (answer.lines.length > 0) byId("offset").textContent = whole.format(answer.lines.at(-1).offset + 1);
  byId("scored").textContent = whole.format(counts.scored);
  byId("found").textContent = whole.format(counts.odd);
  byId("bad").textContent = whole.format(counts.bad);
  byId("posts-count").textContent = whole.format(counts.posts);
  showWindows(answer.windows);
  showChart();
}

function step() {
  const now = performance.now();
  if (running) {
    // A page in the background is not woken often: it goes on where it was.
    clock += Math.min(now - before, 4 * EVERY_MS) * Number(byId("speed").value);
    show(ask({ ask: "advance", now: Math.floor(clock) }));
  }
  before = now;
}

function simulate() {
  for (const id of ["errors", "odd"]) byId(id).nextElementSibling.textContent = byId(id).value + " %";
  byId("rate").nextElementSibling.textContent = byId("rate").value;
  const share = (id) => Number(byId(id).value) / 100;
  show(ask({ ask: "simulate", rate: Number(byId("rate").value), error_rate: share("errors"), anomaly_ratio: share("odd") }));
}

function ownLine(event) {
  event.preventDefault();
  const text = byId("own").value;
  if (text.trim() !== "") show(ask({ ask: "write", now: Math.floor(clock), lines: [text] }));
}

async function start() {
  try {
    engine = await unpack();
  } catch (error) {
    byId("state").textContent = `This browser cannot run the engine: ${error.message}`;
    return;
  }
  const answer = ask({ ask: "start", now: Math.floor(clock), seed: Math.floor(Math.random() * 2 ** 32) });
  if (answer.error) return show(answer);
  threshold = answer.about.threshold;
  byId("threshold").textContent = threshold.toFixed(3);
  byId("model").textContent = answer.about.model.slice(0, 12);
  byId("rows").textContent = whole.format(answer.about.rows);
  byId("state").textContent = "The engine runs in this page.";
  byId("run").addEventListener("click", () => {
    running = !running;
    byId("run").textContent = running ? "Pause" : "Go on";
  });
  byId("burst").addEventListener("click", () => show(ask({ ask: "burst", now: Math.floor(clock) })));
  for (const id of ["rate", "errors", "odd"]) byId(id).addEventListener("input", simulate);
  byId("write").addEventListener("submit", ownLine);
  simulate();
  before = performance.now();
  setInterval(step, EVERY_MS);
}

start();
