// The live page: counts once a second, anomalies as they come. What a log line says is only ever set as text.
"use strict";

const KEEP = 200;
const PER_FRAME = 40;
const RETRY_MS = 2000;
const byId = (id) => document.getElementById(id);
const records = []; // newest first
const waiting = []; // not yet shown
const seen = new Set();
let token = sessionStorage.getItem("isolog-token") || "";
let paused = false;
let frame = 0;
let last = null;

const whole = new Intl.NumberFormat("en");
const count = (value) => whole.format(value);
const share = (value) => (value >= 0.1 ? value.toFixed(1) : value.toPrecision(2)) + " %";

function state(kind, text) {
  byId("state").dataset.state = kind;
  byId("state-text").textContent = text;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

async function ask(path, signal) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  const answer = await fetch(path, { headers, signal, cache: "no-store" });
  byId("token-form").hidden = answer.status !== 401;
  if (!answer.ok) throw new Error(answer.status === 401 ? "a token is needed" : "refused: " + (await answer.text()));
  return answer;
}

function showStatus(status) {
  const now = performance.now();
  const { lines_scored: scored, lines_rejected: rejected, anomalies } = status.counts;
  byId("scored").textContent = count(scored);
  byId("anomalies").textContent = count(anomalies);
  byId("rejected").textContent = count(rejected);
  byId("share").textContent = scored ? share((100 * anomalies) / scored) + " of the lines" : "\u00a0";
  if (last && now > last.now && scored >= last.scored) {
    const rate = ((scored - last.scored) * 1000) / (now - last.now);
    byId("rate").textContent = (rate < 10 ? rate.toFixed(1) : count(Math.round(rate))) + " a second";
  }
  last = { now, scored };
  const model = status.model;
  byId("model").textContent = model ? model.digest.slice(0, 16) : "none yet";
  byId("model").title = model ? model.digest : "";
  byId("model-more").textContent = model
    ? `from ${count(model.rows)} lines; odd above ${model.threshold.toFixed(3)} (${share(100 * model.share_above_threshold)} of them)`
    : "train one with the program trainer";
  byId("about").textContent = `version ${status.version} · reads ${status.inputs.join(", ")}`;
  if (status.ready) state("good", "live");
  else state("wait", "waiting for " + (status.waiting_for.map((it) => `${it.part}: ${it.why}`).join("; ") || "a model"));
}

async function pollStatus() {
  for (;;) {
    try {
      showStatus(await (await ask("/api/v1/status")).json());
    } catch (error) {
      last = null;
      state("bad", error instanceof TypeError ? "no connection" : error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

const LETTER = /[\p{L}\p{N}]/u;

// Where a word begins in a text, from a place on; -1 where it does not.
function wordAt(text, word, from) {
  let found = text.indexOf(word, from);
  while (found > 0 && LETTER.test(text[found - 1])) found = text.indexOf(word, found + 1);
  return found;
}

// Marks the odd words of a text, each as a text node in an element of its own.
function marked(text, words) {
  const box = element("div", "message");
  const lower = text.toLowerCase();
  let at = 0;
  while (at < text.length) {
    let next = -1;
    let length = 0;
    for (const word of words) {
      const found = wordAt(lower, word, at);
      if (found >= 0 && (next < 0 || found < next || (found === next && word.length > length))) {
        next = found;
        length = word.length;
      }
    }
    if (next < 0) break;
    if (next > at) box.append(text.slice(at, next));
    box.append(element("mark", "", text.slice(next, next + length)));
    at = next + length;
  }
  box.append(text.slice(at));
  return box;
}

const times = (seen) => (seen === 0 ? "never seen in training" : seen === 1 ? "seen once in training" : `seen ${count(seen)} times in training`);

function why(record) {
  const box = element("div", "why");
  record.reasons.slice(0, 4).forEach((reason, index) => {
    if (index) box.append(" · ");
    if (reason.kind === "rare_pattern") box.append("a line like this was ", element("b", "", times(reason.seen)));
    else if (reason.kind === "severity") box.append(element("b", "", reason.word), ` here: ${times(reason.seen)}`);
    else if (reason.kind === "unusual_combination") box.append("unusual together: ", element("b", "", reason.word));
    else box.append(element("b", "", reason.word), ` ${times(reason.seen)}`);
  });
  if (record.nearest_pattern) {
    box.append(element("br"), "nearest usual line:", element("span", "usual", record.nearest_pattern));
  }
  return box;
}

function item(record, fresh) {
  const row = element("li", fresh ? "item fresh" : "item");
  const at = new Date(record.timestamp);
  const time = element("time", "time", Number.isNaN(at.getTime()) ? "–" : at.toLocaleTimeString("en-GB"));
  time.dateTime = record.timestamp;
  time.title = record.timestamp;
  const level = element("span", "level " + (record.level || ""), record.level || "–");
  const service = element("span", "service", record.service || "–");
  service.title = record.service;
  const odd = record.reasons.filter((it) => it.kind === "rare_word" && it.word.length > 1);
  const words = odd.slice(0, 6).map((it) => it.word.toLowerCase());
  const score = element("div", "score");
  const track = element("span", "track");
  const fill = element("span", "fill");
  fill.style.width = (100 * Math.min(1, Math.max(0, record.score))).toFixed(1) + "%";
  track.append(fill);
  score.append(track, element("span", "score-number", record.score.toFixed(3)));
  score.title = `score ${record.score}, odder than ${record.percentile.toFixed(2)} % of the training lines`;
  row.append(time, level, service, marked(record.message, words), score, why(record));
  return row;
}

function matches(record, wanted) {
  return !wanted || [record.message, record.service, record.level || ""].some((it) => it.toLowerCase().includes(wanted));
}

const wanted = () => byId("filter").value.trim().toLowerCase();

function emptyText() {
  byId("empty").hidden = byId("list").childElementCount > 0;
  byId("empty").textContent = records.length
    ? "No anomaly with these words among the last " + records.length + "."
    : "Nothing odd yet. New anomalies appear here by themselves.";
}

function redraw() {
  const shown = records.filter((record) => matches(record, wanted()));
  byId("list").replaceChildren(...shown.map((record) => item(record, false)));
  emptyText();
}

function draw() {
  frame = 0;
  if (paused) return label();
  const batch = waiting.splice(0, PER_FRAME);
  const list = byId("list");
  for (const record of batch) {
    records.unshift(record);
    if (matches(record, wanted())) list.prepend(item(record, true));
  }
  while (records.length > KEEP) seen.delete(records.pop().id);
  while (list.childElementCount > KEEP) list.lastElementChild.remove();
  emptyText();
  if (waiting.length) schedule();
}

function schedule() {
  if (!frame) frame = requestAnimationFrame(draw);
}

function label() {
  byId("pause").textContent = paused ? (waiting.length ? `Go on (${waiting.length} new)` : "Go on") : "Pause";
}

let missed = 0;
function miss(number) {
  missed += number;
  byId("missed").hidden = missed === 0;
  byId("missed").textContent = `${count(missed)} not shown: more came than could be shown`;
}

function take(record) {
  if (seen.has(record.id)) return;
  seen.add(record.id);
  waiting.push(record);
  if (waiting.length > KEEP) {
    seen.delete(waiting.shift().id);
    miss(1);
  }
  schedule();
}

async function readStream() {
  const abort = new AbortController();
  const answer = await ask("/api/v1/anomalies/stream", abort.signal);
  const recent = await (await ask("/api/v1/anomalies?limit=" + KEEP)).json();
  recent.anomalies.reverse().forEach(take);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const fields = {};
      for (const line of event.split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
      }
      if (fields.event === "anomaly") take(JSON.parse(fields.data));
      else if (fields.event === "missed") miss(Number(fields.data));
      else if (fields.event === "end") return abort.abort();
    }
  }
}

async function follow() {
  for (;;) {
    try {
      await readStream();
    } catch (error) {
      console.info("the event stream ended:", error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  label();
  schedule();
});
byId("filter").addEventListener("input", redraw);
byId("token-use").addEventListener("click", () => {
  token = byId("token").value.trim();
  sessionStorage.setItem("isolog-token", token);
});
byId("token").addEventListener("keydown", (event) => event.key === "Enter" && byId("token-use").click());

pollStatus();
follow();
