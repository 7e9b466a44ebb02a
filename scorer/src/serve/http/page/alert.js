// One alert: what was found, the lines that show it, what became of it, and what a person does about it.

import { change, get, listen, mayChange, operatorsOnly } from "./api.js";
import { table } from "./charts.js";
import { copy, h, plain, toast } from "./dom.js";
import { count, moment, orNone, score } from "./format.js";
import { badge, icon, level, status } from "./severity.js";
import { marked, scoreBar, why } from "./words.js";

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
      plain(part.subject ? `${part.detector} · ${part.subject}` : part.detector),
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
      h("li", {}, icon(one.severity), h("span", {}, h("b", {}, CAUSES[one.cause] || one.cause), ` as ${one.severity}, ${count(one.count)} found, revision ${one.revision}`), moment(one.resolved_at || one.last_seen)),
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

// Runs a change and shows what it led to; a refusal is told where the button is.
function action(label, className, run, wrong) {
  const button = h("button", { type: "button", class: className }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    wrong.textContent = "";
    try {
      await run();
    } catch (error) {
      wrong.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

function silence(data, reload) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const length = h("select", { id: "silence-minutes" }, LENGTHS.map(([minutes, name]) => h("option", { value: minutes }, name)));
  const comment = h("input", { id: "silence-comment", type: "text", maxlength: 500, placeholder: "why, for the others" });
  const make = action("Silence", "main", async () => {
    const made = await change("POST", `alerts/${data.alert.id}/silence`, { minutes: Number(length.value), comment: comment.value.trim() });
    await reload();
    toast("Silenced.", made?.id && { label: "Undo", run: () => end(made.id) });
  }, wrong);
  const end = async (id) => {
    await change("DELETE", `silences/${id}`);
    await reload();
    toast("The silence has ended.");
  };
  const item = (one) =>
    h(
      "li",
      { class: "row spread" },
      h("span", {}, h("code", {}, plain(one.filter)), " until ", moment(one.until), one.comment && ` · ${plain(one.comment)}`),
      mayChange() && action("End it", "small", () => end(one.id), wrong),
    );
  return card(
    "Silence",
    h("p", { class: "soft" }, "Nobody is told of what this detector finds in this service until then; it stays on the page as muted."),
    operatorsOnly(),
    mayChange() && h("div", { class: "row wrap" }, h("label", { for: "silence-minutes" }, "For"), length, h("label", { for: "silence-comment", class: "offscreen" }, "Comment"), comment, make),
    data.silences?.length > 0 && h("ul", { class: "plain-list" }, data.silences.map(item)),
    wrong,
  );
}

function normal(data, reload) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const comment = h("input", { id: "normal-comment", type: "text", maxlength: 500, placeholder: "why, for the others" });
  const undo = async (id) => {
    await change("DELETE", `normals/${id}`);
    await reload();
    toast("Undone: this may alert again.");
  };
  const make = action("This is normal", "", async () => {
    const made = await change("POST", `alerts/${data.alert.id}/normal`, { comment: comment.value.trim() });
    await reload();
    toast("Noted as normal: it will not alert again.", made?.id && { label: "Undo", run: () => undo(made.id) });
  }, wrong);
  const subjects = (one) => (one.normals ? one.normals.map((it) => [it.detector, it.service, it.subject].filter(Boolean).join(" · ")) : [[one.detector, one.service, one.subject].filter(Boolean).join(" · ")]);
  const item = (one) =>
    h(
      "li",
      { class: "row spread" },
      h("span", {}, plain(subjects(one).join("; ")), one.comment && ` · ${plain(one.comment)}`),
      mayChange() && action("Undo", "small", () => undo(one.id), wrong),
    );
  return card(
    "This is normal",
    h("p", { class: "soft" }, "What was found here is told no more, for good, until it is undone."),
    operatorsOnly(),
    mayChange() && h("div", { class: "row wrap" }, h("label", { for: "normal-comment", class: "offscreen" }, "Comment"), comment, make),
    data.normals?.length > 0 && h("ul", { class: "plain-list" }, data.normals.map(item)),
    wrong,
  );
}

export async function render(main, params, context) {
  const title = h("h1", { tabindex: -1 }, "Alert");
  const wrong = h("div");
  const body = h("div", { class: "stack" });
  main.append(h("p", { class: "crumb" }, h("a", { href: "#/alerts" }, "‹ All alerts")), title, wrong, body);
  const link = new URL(`alerts/${params.id}`, location.href.split("#")[0]).href;

  const load = () =>
    context.attempt(wrong, async () => {
      const data = await get(`alerts/${encodeURIComponent(params.id)}`, {}, context.signal);
      const { alert } = data;
      title.textContent = plain(orNone(alert.service));
      document.title = `${orNone(alert.service)} · Alert · Isolog`;
      const evidenceLines = data.evidence?.length ? data.evidence : alert.evidence;
      body.replaceChildren(
        h(
          "section",
          { class: "card" },
          h("div", { class: "row wrap" }, badge(alert.severity), status(alert.status), h("span", { class: "soft mono small grow cut" }, alert.id), h("button", { type: "button", class: "small", on: { click: () => copy(link) } }, "Copy link")),
          h("p", { class: "lead" }, plain(alert.message)),
          facts(alert),
        ),
        card("Lines that show it", evidence(evidenceLines), data.explained_by && data.explained_by !== alert.model && h("p", { class: "soft small" }, "Explained by the model in use now, which is not the one that scored them.")),
        h(
          "div",
          { class: "grid" },
          h("section", { class: "card wide" }, h("div", { class: "card-head" }, h("h2", {}, "What fired")), fired(alert), alert.reasons?.length > 0 && h("ul", { class: "reasons" }, alert.reasons.map((one) => h("li", {}, plain(one))))),
          silence(data, load),
          normal(data, load),
          card("History", history(data.history)),
          card("Who was told", deliveries(data.deliveries)),
        ),
      );
    });
  await load();
  listen("alerts/stream", {}, { alert: (alert) => alert.id === params.id && !busy() && load() }, context.signal);

  // Somebody who types a comment is not interrupted.
  function busy() {
    return body.contains(document.activeElement) && ["INPUT", "SELECT"].includes(document.activeElement.tagName);
  }
}
