// One alert: what was found, the lines that show it, what became of it, and what a person does about it.

import { change, get, latest, listen, mayChange, operatorsOnly } from "./api.js";
import { table } from "./charts.js";
import { attempted, endSilence, found, normalList, silenceList, undoNormal } from "./decisions.js";
import { copy, h, keepFocus, plain, toast } from "./dom.js";
import { count, moment, orNone, score } from "./format.js";
import { badge, icon, level, status } from "./severity.js";
import { marked, scoreBar, why } from "./words.js";

// Counts of an alert that fires go on between its records.
const POLL_MS = 10_000;
const LENGTHS = [[60, "1 hour"], [240, "4 hours"], [1_440, "1 day"], [10_080, "1 week"]];
const CAUSES = {
  opened: "opened", graver: "became graver", unmuted: "a silence ended", repeat: "still goes on", resolved: "resolved",
  muted: "silenced", notice: "notice of the daily budget",
};

const OUTCOMES = { dead: "given up" };

const card = (title, ...content) => h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, title)), content);

function place(source) {
  if (!source) return "–";
  if (source.kind === "kafka") return `${source.topic} partition ${source.partition} offset ${source.offset}`;
  if (source.kind === "file" && source.path === "simulator") return `simulator, line ${source.offset}`;
  if (source.kind === "file") return `${source.path} at byte ${source.offset}`;
  return source.kind === "stdin" ? `standard input, line ${source.line}` : source.kind;
}

function facts(alert) {
  const rows = [
    ["Anomalies", count(alert.count)],
    ["First seen", moment(alert.first_seen)],
    ["Last seen", moment(alert.last_seen)],
    alert.resolved_at && ["Resolved", moment(alert.resolved_at)],
    ["Gravest finding by", alert.detector],
    ["Oddest line", score(alert.score)],
    ["Told", alert.held_back ? "nobody: the daily budget held it back" : alert.notify?.join(", ") || "no sink"],
  ];
  return h("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function evidence(lines) {
  if (!lines?.length) return h("p", { class: "empty" }, "No line is kept for this finding.");
  const item = (line) =>
    h(
      "li",
      { class: "evidence" },
      h("div", { class: "row wrap" }, moment(line.timestamp), level(line.level), scoreBar(line.score, line.percentile), h("span", { class: "soft small" }, plain(place(line.source)))),
      marked(line.message, line.reasons),
      why(line.reasons, line.nearest_pattern),
    );
  return h("ol", { class: "plain-list" }, lines.map(item));
}

const fired = (alert) =>
  table(
    "What fired",
    ["Detector", "Severity", "What", "Anomalies", "Last"],
    (alert.parts || []).map((part) => [
      found({ detector: part.detector, subject: part.subject }),
      badge(part.severity),
      plain(part.headline),
      count(part.count),
      moment(part.last_seen),
    ]),
    "roomy",
  );

const history = (records) =>
  h(
    "ol",
    { class: "history" },
    (records || []).map((one) =>
      h("li", {}, icon(one.severity), h("span", {}, h("b", {}, CAUSES[one.cause] || one.cause), ` as ${one.severity}, ${count(one.count)} found, revision ${one.revision}`), h("span", {}, one.recorded_at ? "at " : "last seen ", moment(one.recorded_at || one.last_seen))),
    ),
  );

const deliveries = (all) =>
  all?.length
    ? table(
        "Deliveries",
        ["Sink", "Outcome", "Revision", "Time", "Detail"],
        all.map((one) => [plain(one.sink), h("span", { class: `outcome ${one.outcome}` }, OUTCOMES[one.outcome] || one.outcome), count(one.revision), moment(one.time), plain(one.detail || "–")]),
      )
    : h("p", { class: "empty" }, "Nobody was told of this alert: no sink is set, or none wants to hear of it.");

// A form of a comment and a button that decides something about the alert.
function decision({ title, about, name, before, label, className, run, list }) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const comment = h("input", { id: `${name}-comment`, type: "text", maxlength: 500, placeholder: "why, for the others" });
  const button = h("button", { type: "submit", class: className, id: `${name}-button` }, label);
  const submit = (event) => {
    event.preventDefault();
    return attempted(button, wrong, async () => {
      await run(comment.value.trim());
      comment.value = "";
    });
  };
  return card(
    title,
    h("p", { class: "soft" }, about),
    operatorsOnly(),
    mayChange() && h("form", { class: "row wrap", on: { submit } }, before, h("label", { for: `${name}-comment`, class: "offscreen" }, "Comment"), comment, button),
    list.box,
    wrong,
    list.wrong,
  );
}

function silence(id, reload, list) {
  const length = h("select", { id: "silence-minutes" }, LENGTHS.map(([minutes, name]) => h("option", { value: minutes }, name)));
  return decision({
    title: "Silence",
    about: "Nobody is told of what this detector finds in this service until then; it stays on the page as muted.",
    name: "silence",
    before: [h("label", { for: "silence-minutes" }, "For"), length],
    label: "Silence",
    className: "main",
    list,
    async run(comment) {
      const made = await change("POST", `alerts/${id}/silence`, { minutes: Number(length.value), comment });
      await reload();
      toast("Silenced.", made?.id && { label: "Undo", run: () => endSilence(made.id, reload) });
    },
  });
}

const normal = (id, reload, list) =>
  decision({
    title: "This is normal",
    about: "What was found here is told no more, for good, until it is undone.",
    name: "normal",
    label: "This is normal",
    className: "",
    list,
    async run(comment) {
      const made = await change("POST", `alerts/${id}/normal`, { comment });
      await reload();
      toast("Noted as normal: it will not alert again.", made?.id && { label: "Undo", run: () => undoNormal(made.id, reload) });
    },
  });

// A box that is filled anew only when what it shows has changed, so that a reader keeps the place.
function kept(box) {
  let shown = "";
  return (data, make) => {
    const text = JSON.stringify(data);
    if (text === shown) return;
    shown = text;
    keepFocus(box, () => box.replaceChildren(...make().flat().filter(Boolean)));
  };
}

export async function render(main, params, context) {
  const title = h("h1", { tabindex: -1 }, "Alert");
  const wrong = h("div");
  const body = h("div", { class: "stack", hidden: true });
  main.append(h("p", { class: "crumb" }, h("a", { href: "#/alerts" }, "‹ All alerts")), title, wrong, body);
  const link = new URL(`alerts/${params.id}`, location.href.split("#")[0]).href;

  const parts = ["head", "lines", "fired", "history", "told"].map((name) => [name, h("div")]);
  const boxes = Object.fromEntries(parts);
  const fill = Object.fromEntries(parts.map(([name, box]) => [name, kept(box)]));
  const silences = silenceList(() => body.querySelector("#silence-button") || title);
  const normals = normalList(() => body.querySelector("#normal-button") || title);

  const ask = latest(context.signal);
  const load = () =>
    context.attempt(wrong, async () => {
      const data = await get(`alerts/${params.id}`, {}, ask());
      const { alert } = data;
      title.textContent = plain(orNone(alert.service));
      document.title = `${orNone(alert.service)} · Alert · Isolog`;
      const lines = data.evidence?.length ? data.evidence : alert.evidence;
      const explained = data.explained_by && data.explained_by !== alert.model;
      fill.head(alert, () => [
        h("div", { class: "row wrap" }, badge(alert.severity), status(alert.status), h("span", { class: "soft mono small grow cut" }, alert.id), h("button", { type: "button", class: "small", id: "copy-link", on: { click: () => copy(link) } }, "Copy link")),
        h("p", { class: "lead" }, plain(alert.message)),
        facts(alert),
      ]);
      fill.lines([lines, explained], () => [evidence(lines), explained && h("p", { class: "soft small" }, "Explained by the model in use now, which is not the one that scored them.")]);
      fill.fired([alert.parts, alert.reasons], () => [fired(alert), alert.reasons?.length > 0 && h("ul", { class: "reasons" }, alert.reasons.map((one) => h("li", {}, plain(one))))]);
      fill.history(data.history, () => [history(data.history)]);
      fill.told(data.deliveries, () => [deliveries(data.deliveries)]);
      silences.show(data.silences, load);
      normals.show(data.normals, load);
      body.hidden = false;
    });

  body.append(
    h("section", { class: "card" }, boxes.head),
    card("Lines that show it", boxes.lines),
    h(
      "div",
      { class: "grid" },
      h("section", { class: "card wide" }, h("div", { class: "card-head" }, h("h2", {}, "What fired")), boxes.fired),
      silence(params.id, load, silences),
      normal(params.id, load, normals),
      card("History", boxes.history),
      card("Who was told", boxes.told),
    ),
  );
  await context.every(POLL_MS, load);
  const told = (alert) => alert.id === params.id && load();
  listen("alerts/stream", {}, { alert: told, missed: load }, context.signal, (on) => on && load());
}
