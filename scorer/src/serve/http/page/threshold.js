// Threshold: how scores are spread, what a threshold would cost in alerts, and the setting that makes it so.

import { get, latest } from "./api.js";
import { figure, histogram, table } from "./charts.js";
import { clipped, copy, h, plain, rested } from "./dom.js";
import { compact, count, moment, orNone, percent, rate, score } from "./format.js";

const tile = (name, value) => h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value));

// Counts as shares of their sum.
export function shares(values) {
  const sum = values.reduce((all, one) => all + one, 0);
  return values.map((value) => (sum > 0 ? value / sum : 0));
}

// Histograms of the scores of training and of late, as a chart with a table.
export const spread = (title, at, note, signal) =>
  figure(title, {
    head: ["Score", "Training", "Of late"],
    rows: (data) => {
      const [training, recent] = [shares(data.training), shares(data.recent)];
      return data.edges.slice(1).map((edge, bin) => [`${data.edges[bin].toFixed(3)} – ${edge.toFixed(3)}`, percent(training[bin]), percent(recent[bin])]);
    },
    draw(box, data) {
      const lines = [
        { label: "training", values: shares(data.training), colour: "accent", fill: true },
        { label: "of late", values: shares(data.recent), colour: "error", dash: [6, 3] },
      ];
      const room = h("div", { class: "plot" });
      box.append(room, h("p", { class: "swatches" }, h("span", { class: "first" }, "training"), h("span", { class: "second" }, "of late, dashed"), at && h("span", { class: "third" }, "threshold")));
      data.shown = histogram(room, data.edges, lines, { at: at || (() => null) });
      return data.shown;
    },
    note,
    signal,
    className: "wide",
  });

// What alerts a day rest on.
function basis(answer) {
  const folded = "odd lines of a service that follow each other are one alert";
  const share = answer.share_from === "recent" ? "The share is that of the lines of late. " : answer.share_from === "training" ? "The share is that of the training lines. " : "";
  if (answer.alerts_per_day === null || answer.alerts_per_day === undefined) return `${share}Alerts a day: too early to say.`;
  if (answer.alerts_from === "lines") return `${share}Too early to count alerts: at most each odd line is one.`;
  return `${share}Alerts are counted in ${stored(answer.stored_days)} that the store holds: ${folded}.`;
}

function stored(days) {
  if (days >= 1) return `the ${rate(days)} days`;
  const minutes = (days || 0) * 1_440;
  return minutes < 120 ? `the ${Math.max(1, Math.round(minutes))} min` : `the ${Math.round(minutes / 60)} hours`;
}

const alertsADay = (answer) => (answer.alerts_from === "lines" && answer.alerts_per_day > 0 ? `≤ ${rate(answer.alerts_per_day)}` : rate(answer.alerts_per_day));

export async function render(main, params, context) {
  const wrong = h("div");
  const body = h("div", { class: "stack", hidden: true });
  main.append(h("div", { class: "title" }, h("h1", { tabindex: -1 }, "Threshold")), wrong, body);

  let data = null;
  let chosen = 0;
  const slider = h("input", { id: "threshold", type: "range", min: 0, max: 1, step: 0.001 });
  const number = h("input", { id: "threshold-number", type: "number", min: 0, max: 1, step: "any", "aria-label": "Score of the threshold" });
  const tiles = h("dl", { class: "tiles", "aria-live": "polite" });
  const rests = h("p", { class: "soft small" });
  const setting = h("code", { id: "setting" });
  const fires = h("div");
  const inUse = h("p", { class: "soft" });
  const chart = spread("Scores", () => chosen, "share of lines, logarithmic", context.signal);

  const take = (answer) => {
    rests.textContent = basis(answer);
    tiles.replaceChildren(
      tile("Threshold", score(answer.score)),
      tile("Share of lines above", percent(answer.share)),
      tile("Odd lines a day", compact(answer.lines_per_day)),
      tile("Alerts a day", h("span", { id: "alerts-per-day" }, alertsADay(answer))),
    );
    setting.textContent = answer.setting;
  };

  const ask = latest(context.signal);
  const preview = async () => {
    try {
      const answer = await get("threshold/preview", { score: chosen }, ask());
      take(answer);
      const rows = (answer.would_have_fired || []).map((one) => [moment(one.time), plain(orNone(one.service)), score(one.score), h("span", { class: "message" }, clipped(one.message, 300))]);
      fires.replaceChildren(
        rows.length ? table("What would have fired", ["Time", "Service", "Score", "Message"], rows) : h("p", { class: "empty" }, "No kept line is above this score."),
      );
    } catch (error) {
      if (error.name !== "AbortError") fires.replaceChildren(h("p", { class: "wrong", role: "alert" }, error.message));
    }
  };
  const later = rested(preview, 200);

  function choose(value) {
    chosen = Math.min(Number(slider.max), Math.max(Number(slider.min), Number(value) || 0));
    slider.value = chosen;
    if (document.activeElement !== number) number.value = chosen.toFixed(3);
    data.shown?.redraw(false);
    later();
  }
  slider.addEventListener("input", () => choose(slider.value));
  // A field that is empty or half written says nothing: the threshold stays as it is.
  const written = () => number.value.trim() !== "" && number.validity.valid;
  number.addEventListener("input", () => written() && choose(number.value));
  number.addEventListener("blur", () => (number.value = Number(chosen).toFixed(3)));

  body.append(
    chart.card,
    h(
      "section",
      { class: "card" },
      h("div", { class: "card-head" }, h("h2", {}, h("label", { for: "threshold" }, "Try another threshold")), number, h("button", { type: "button", class: "small", on: { click: () => choose(data.score) } }, "The one in use")),
      h("div", { class: "slider" }, slider),
      tiles,
      rests,
      h("p", { class: "setting" }, setting, h("button", { type: "button", id: "copy-setting", on: { click: () => copy(setting.textContent) } }, "Copy the setting"), h("span", { class: "soft small" }, "for the environment of scorer run")),
      inUse,
    ),
    h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, "What would have fired")), fires),
  );

  await context.attempt(wrong, async () => {
    data = await get("threshold", {}, context.signal);
    Object.assign(data, data.histogram);
    slider.min = data.edges[0];
    slider.max = data.edges[data.edges.length - 1];
    slider.step = 0.001;
    body.hidden = false;
    chart.update(data);
    const warns = data.warning_score === null || data.warning_score === undefined ? "" : `An odd line above ${score(data.warning_score)} is a warning: the training expects ${rate(data.budget_per_day)} of them a day.`;
    inUse.textContent = `In use: ${score(data.score)}, from ${data.source}. ${data.lines_per_day ? `Training saw ${count(data.lines_per_day)} lines a day. ` : ""}${warns}`;
    choose(data.score);
  });
  window.addEventListener("isolog-theme", () => chart.redraw(), { signal: context.signal });
}
