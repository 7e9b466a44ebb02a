// Logs: a search over what the store keeps, and a live tail that survives a flood.

import { WAITS, get, latest, listen, services } from "./api.js";
import { announce, clipped, h, offered, plain } from "./dom.js";
import { count, moment, orNone, span } from "./format.js";
import { level } from "./severity.js";
import { scoreBar } from "./words.js";

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const PAGE = 100;
const LOOKS = 10;
// Most lines in the page, and most that wait while nobody looks.
const SHOWN = 500;
const WAITING = 500;

const KEPT = {
  context: "The store keeps odd lines and those around them (STORE_LOGS=context); the tail shows all.",
  none: "The store keeps no lines (STORE_LOGS=none); the tail still shows them as they come.",
  all: "",
};

function line(one) {
  return h(
    "li",
    { class: one.anomaly ? "log odd" : "log" },
    moment(one.time),
    level(one.level),
    h("span", { class: "service cut", title: one.service }, plain(orNone(one.service, "–"))),
    h("span", { class: "message" }, one.anomaly && h("span", { class: "odd-mark" }, h("span", { "aria-hidden": "true" }, "▲ "), h("span", { class: "offscreen" }, "odd: ")), clipped(one.message, 600)),
    scoreBar(one.score),
  );
}

const iso = (local) => (local ? new Date(local).toISOString() : "");

function searchForm(params) {
  const field = (id, name, props) => {
    const input = h("input", { id: `log-${id}`, autocomplete: "off", spellcheck: "false", ...props });
    return { label: h("label", {}, name, input), input };
  };
  const levels = h("select", { id: "log-level" }, h("option", { value: "" }, "any"), LEVELS.map((one) => h("option", { value: one, selected: params.level === one }, one)));
  const service = field("service", "Service", { type: "search", list: "log-services", value: params.service || "" });
  const names = offered("log-services", []);
  service.label.append(names);
  const text = field("text", "Text", { type: "search", value: params.text || "" });
  const least = field("score", "Score from", { type: "number", min: 0, max: 1, step: "any", value: params.min_score || "" });
  const from = field("from", "From", { type: "datetime-local", step: 1, value: params.from || "" });
  const until = field("until", "Until", { type: "datetime-local", step: 1, value: params.until || "" });
  const search = h("button", { type: "submit", class: "main" }, "Search");
  const form = h(
    "form",
    { class: "filters card", role: "search", "aria-label": "Search logs" },
    service.label,
    h("label", {}, "Level", levels),
    text.label,
    least.label,
    from.label,
    until.label,
    search,
  );
  const streamed = () => ({ service: service.input.value.trim(), level: levels.value, text: text.input.value.trim(), min_score: least.input.value });
  const asked = () => ({ ...streamed(), from: iso(from.input.value), until: iso(until.input.value) });
  // As a link to the same search has it, with the times of this clock.
  const linked = () => ({ ...streamed(), from: from.input.value, until: until.input.value });
  // A tail has no time but now.
  const tails = (on) => [from, until].forEach((one) => ((one.input.disabled = on), (one.input.title = on ? "The tail shows lines as they come." : "")));
  const offer = (all) => names.replaceWith(offered("log-services", all));
  return { form, streamed, asked, linked, tails, offer };
}

export async function render(main, params, context) {
  const { form, streamed, asked, linked, tails, offer } = searchForm(params);
  const wrong = h("div");
  const note = h("p", { class: "soft small" });
  const list = h("ol", { class: "log-list", "aria-label": "Log lines, newest first" });
  const empty = h("p", { class: "empty", hidden: true });
  const older = h("button", { type: "button", hidden: true }, "Older lines");
  const tailButton = h("button", { type: "button", id: "tail", "aria-pressed": "false" }, "Live tail");
  const pauseButton = h("button", { type: "button", id: "pause", "aria-pressed": "false", hidden: true }, "Pause");
  const skippedText = h("span", { id: "skipped", class: "skipped", hidden: true });
  const connection = h("span", { class: "live", "data-live": "no", hidden: true });

  let next = null;
  let tail = null;
  let paused = false;
  let waiting = [];
  let skipped = 0;
  let frame = 0;

  let lost = 0;
  const ask = latest(context.signal);

  const address = () => {
    const told = Object.entries({ ...linked(), tail: tail ? "1" : "" }).filter(([, value]) => value);
    history.replaceState(null, "", `#/logs${told.length ? `?${new URLSearchParams(told)}` : ""}`);
  };
  const bound = () => {
    while (list.childElementCount > SHOWN) list.lastElementChild.remove();
  };
  const tell = () => {
    skippedText.hidden = skipped === 0;
    skippedText.textContent = `${count(skipped)} skipped`;
    pauseButton.textContent = paused ? `Go on${waiting.length ? ` (${count(waiting.length)} waiting)` : ""}` : "Pause";
  };

  function draw() {
    frame = 0;
    if (paused) return tell();
    // What would be pushed out at once is never made.
    if (waiting.length > SHOWN) waiting = waiting.slice(-SHOWN);
    const batch = waiting;
    waiting = [];
    list.prepend(...batch.reverse().map(line));
    bound();
    empty.hidden = list.childElementCount > 0;
    tell();
  }

  function take(event) {
    skipped += event.skipped || 0;
    waiting.push(...event.lines);
    if (waiting.length > WAITING) {
      skipped += waiting.length - WAITING;
      waiting = waiting.slice(-WAITING);
    }
    frame ||= requestAnimationFrame(draw);
  }

  function stopTail() {
    tail?.abort();
    tail = null;
    tails(false);
    paused = false;
    waiting = [];
    tailButton.setAttribute("aria-pressed", "false");
    tailButton.textContent = "Live tail";
    pauseButton.setAttribute("aria-pressed", "false");
    for (const one of [pauseButton, skippedText, connection]) one.hidden = true;
  }

  function startTail() {
    stopTail();
    skipped = 0;
    next = null;
    tail = new AbortController();
    // An answer to a search that comes now would mix with the tail.
    ask();
    lost = 0;
    tails(true);
    address();
    context.signal.addEventListener("abort", () => tail?.abort(), { once: true });
    tailButton.setAttribute("aria-pressed", "true");
    tailButton.textContent = "Stop the tail";
    older.hidden = true;
    pauseButton.hidden = false;
    connection.hidden = false;
    wrong.replaceChildren();
    list.replaceChildren();
    empty.hidden = false;
    empty.textContent = "Waiting for lines that match.";
    announce("Live tail started");
    tell();
    listen("logs/stream", streamed(), { lines: take }, tail.signal, (on, waits) => {
      connection.dataset.live = on ? "yes" : "no";
      connection.textContent = on ? "live" : waits ? WAITS : "connecting";
      // What came while the tab was hidden or the connection gone is not here.
      if (on && lost) list.prepend(h("li", { class: "gap soft small" }, "not followed for ", span((Date.now() - lost) / 1_000)));
      lost = on ? 0 : lost || Date.now();
    });
  }

  // A look is bounded: where it found nothing yet, the next one goes on, and a person decides after some of them.
  async function look(more) {
    const signal = ask();
    let answer = await get("logs", { ...asked(), limit: PAGE, after: more ? next : "" }, signal);
    for (let looks = 1; answer.logs.length === 0 && answer.next && looks < LOOKS; looks += 1) {
      answer = await get("logs", { ...asked(), limit: PAGE, after: answer.next }, signal);
    }
    return answer;
  }

  async function search(more) {
    await context.attempt(wrong, async () => {
      const answer = await look(more);
      next = answer.next ?? null;
      if (!more) list.replaceChildren();
      list.append(...answer.logs.map(line));
      const full = next && list.childElementCount >= SHOWN;
      note.textContent = [
        full && `${count(SHOWN)} lines are shown; narrow the search or its time for the others.`,
        answer.cut_short && next && "The search has not looked at all lines: the button goes on with older ones.",
        KEPT[answer.kept],
      ].filter(Boolean).join(" ");
      older.hidden = !next || full;
      bound();
      empty.hidden = list.childElementCount > 0;
      empty.textContent = next ? "No line so far matches." : "No kept line matches.";
      if (!more) announce(`${answer.logs.length}${next ? " or more" : ""} lines`);
    });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (tail) return startTail();
    address();
    return search(false);
  });
  tailButton.addEventListener("click", () => (tail ? (stopTail(), address(), search(false)) : startTail()));
  pauseButton.addEventListener("click", () => {
    paused = !paused;
    pauseButton.setAttribute("aria-pressed", String(paused));
    tell();
    if (!paused) frame ||= requestAnimationFrame(draw);
  });
  older.addEventListener("click", () => search(true));

  main.append(
    h("div", { class: "title" }, h("h1", { tabindex: -1 }, "Logs"), connection, skippedText, pauseButton, tailButton),
    form,
    wrong,
    note,
    empty,
    list,
    older,
  );
  void services(context.signal).then(offer, () => {});
  if (params.tail) startTail();
  else await search(false);
}
