// Model: what it was trained on, whether today's lines still look like that, and what is new.

import { get } from "./api.js";
import { table } from "./charts.js";
import { copy, h, plain } from "./dom.js";
import { count, moment, orNone, percent, span } from "./format.js";
import { spread } from "./threshold.js";

const card = (title, ...content) => h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, title)), content);

// Names of settings and counts as they are; lists and objects as text.
function written(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(6)));
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return plain(value.join(", ")) || "–";
  return plain(typeof value === "object" ? JSON.stringify(value) : String(value));
}

const NAMES = { n_estimators: "trees", max_samples: "lines drawn for a tree", n_features: "hashed columns" };
const facts = (object) =>
  h("dl", { class: "facts" }, Object.entries(object || {}).map(([name, value]) => h("div", {}, h("dt", {}, NAMES[name] || name.replaceAll("_", " ")), h("dd", {}, written(value)))));

// How far two spreads are apart, by the customary bounds of the population stability index.
function drifted(psi) {
  if (psi === null || psi === undefined) return "not enough lines yet";
  return psi < 0.1 ? "as in training" : psi < 0.25 ? "somewhat moved: look at what is new" : "moved far: train again";
}

export async function render(main, params, context) {
  const wrong = h("div");
  const body = h("div", { class: "stack" });
  main.append(h("div", { class: "title" }, h("h1", { tabindex: -1 }, "Model")), wrong, body);
  let chart = null;
  window.addEventListener("isolog-theme", () => chart?.redraw(), { signal: context.signal });
  await context.attempt(wrong, async () => {
    const model = await get("model", {}, context.signal);
    const { drift } = model;
    const { frequent_patterns: frequent = [], ...report } = model.report || {};
    const fresh = model.new_patterns || [];
    const patterns = fresh.map((one) => [h("span", { class: "mono" }, plain(one.pattern)), plain(orNone(one.service)), count(one.count), moment(one.first_seen)]);
    body.replaceChildren(
      h(
        "section",
        { class: "card" },
        h("div", { class: "row wrap" }, h("span", { class: "mono grow cut" }, model.digest), h("button", { type: "button", class: "small", on: { click: () => copy(model.digest) } }, "Copy digest")),
        h(
          "dl",
          { class: "facts" },
          [
            ["Trained", moment(model.trained_at)],
            ["Age", span(model.age_seconds)],
            ["Rows", count(model.rows)],
            ["From", plain((model.inputs || []).join(", ")) || "–"],
            ["Words it does not know, of late", percent(model.unseen_word_share?.recent)],
            ["Words of one training line alone", percent(model.unseen_word_share?.training)],
          ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
        ),
      ),
    );
    if (drift?.edges?.length) {
      chart = spread("Scores since training", null, `${drift.psi === null ? "" : `stability index ${drift.psi.toFixed(3)}: `}${drifted(drift.psi)}; ${count(drift.lines)} lines in ${span(drift.seconds)}`, context.signal);
      chart.update({ ...drift });
      body.append(chart.card);
    }
    const rest = [
      card("New patterns", patterns.length ? table("New patterns", ["Pattern", "Service", "Seen", "First"], patterns, "patterns") : h("p", { class: "empty" }, "No pattern that training did not see."), model.new_patterns_beyond > 0 && h("p", { class: "soft" }, `and ${count(model.new_patterns_beyond)} lines of further new patterns`)),
      h("div", { class: "grid" }, card("Training report", facts(report)), card("Parameters", facts(model.parameters))),
      frequent.length > 0 && card("Frequent patterns", h("ul", { class: "plain-list mono small" }, frequent.map((one) => h("li", {}, plain(one))))),
    ];
    body.append(...rest.filter(Boolean));
    // The chart measures its box, which has a width only now that it is in the page.
    chart?.redraw();
  });
}
