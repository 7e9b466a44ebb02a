// Overview: what each service does minute by minute, what is odd, and how the system itself does.

import { get } from "./api.js";
import { bars, figure, overTime, stacked } from "./charts.js";
import { h, keepFocus, plain, s } from "./dom.js";
import { clockOf, compact, count, moment, orNone, percent, rate, seconds, span } from "./format.js";
import { SEVERITIES, badge, icon, legend, mark, status } from "./severity.js";

const POLL_MS = 5_000;
const SPANS = [[10, "10 minutes"], [60, "1 hour"], [360, "6 hours"], [1440, "24 hours"]];

const linkTo = (page, params) => `#/${page}?${new URLSearchParams(params)}`;

const findings = (many) => `${count(many)} ${many === 1 ? "finding" : "findings"}`;
// What was found before the scorer started is known, of how many lines is not.
const ofLines = (one) => `${count(one.lines)} ${one.lines === 1 ? "line" : "lines"}`;

// The services that the server tells apart, and what the others come to.
const rowsOf = (data) => [...data.services, data.others].filter(Boolean);
const isOthers = (row) => row.service === undefined;
const named = (row) => (isOthers(row) ? "all others" : plain(orNone(row.service)));

// One lane: how many lines there were as bars, and a shape where something was odd.
function lane(row, bins, step) {
  const most = Math.max(1, ...row.cells.map((cell) => cell.lines));
  const width = 1000 / Math.max(1, row.cells.length);
  const volume = row.cells.map((cell, at) => {
    const tall = !cell.lines ? 0 : 2 + (14 * cell.lines) / most;
    return tall && `M${(at * width).toFixed(1)} 30v${-tall.toFixed(1)}h${(width * 0.86).toFixed(1)}v${tall.toFixed(1)}z`;
  });
  const text = (cell, at) => `${bins[at] ? clockOf(bins[at].time, step) : ""}: ${findings(cell.anomalies)}, ${ofLines(cell)}`;
  const shapes = row.cells.map((cell, at) => {
    if (!cell.severity) return null;
    const left = (100 * (at + 0.43)) / row.cells.length;
    return h(
      "span",
      { class: "lane-mark", title: `${cell.severity}, ${text(cell, at)}`, style: { left: `${left}%` } },
      s("svg", { class: `mark ${cell.severity}`, viewBox: "0 0 16 16", width: 13, height: 13 }, mark(cell.severity)),
    );
  });
  return h(
    "div",
    { class: "lane-cells" },
    s("svg", { class: "volume", viewBox: "0 0 1000 30", preserveAspectRatio: "none" }, s("path", { d: volume.filter(Boolean).join("") })),
    shapes,
  );
}

function lanes(box, data) {
  if (!rowsOf(data).length) return box.append(h("p", { class: "empty" }, "No line yet in this time."));
  const rows = rowsOf(data).map((row) =>
    h(
      "li",
      { class: "lane" },
      h(
        "a",
        { class: "lane-name", href: isOthers(row) ? "#/alerts" : linkTo("alerts", { service: row.service }), title: isOthers(row) ? "All alerts" : `Alerts of ${row.service}` },
        h("span", { class: "lane-worst" }, row.worst ? [icon(row.worst), h("span", { class: "offscreen" }, `${row.worst} `)] : null),
        h("span", { class: "cut" }, named(row)),
      ),
      h("div", { class: "lane-box", "aria-hidden": "true" }, lane(row, data.over_time, data.step_seconds)),
      h("span", { class: "lane-count" }, h("span", {}, h("b", {}, compact(row.anomalies)), row.anomalies === 1 ? " finding" : " findings"), h("span", { class: "soft" }, `${compact(row.lines)} lines`)),
    ),
  );
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const at = new Date(data.from).getTime() * (1 - part) + new Date(data.until).getTime() * part;
    return h("span", {}, clockOf(at, data.step_seconds));
  });
  box.append(h("ol", { class: "lanes" }, rows), h("div", { class: "lane-axis", "aria-hidden": "true" }, ticks));
}

const laneRows = (data) =>
  rowsOf(data).map((row) => [named(row), count(row.lines), count(row.anomalies), row.worst || "–", busiest(row, data)]);

function busiest(row, { over_time: bins, step_seconds: step }) {
  const odd = row.cells.map((cell, at) => [cell.anomalies, at]).filter(([many]) => many > 0);
  odd.sort((a, b) => b[0] - a[0]);
  return odd.slice(0, 3).map(([many, at]) => `${bins[at] ? clockOf(bins[at].time, step) : at}: ${count(many)}`).join(", ") || "–";
}

function timeline(signal) {
  let shown = null;
  let data = null;
  const reading = h("p", { class: "reading soft", "aria-hidden": "true" });
  const point = (at) => {
    const bin = data?.over_time[at];
    reading.textContent = bin
      ? `${clockOf(bin.time, data.step_seconds)}: ${SEVERITIES.slice().reverse().map((one) => `${count(bin[one] || 0)} ${one}`).join(", ")} · ${count(bin.lines)} lines`
      : "Point at a bar to read it.";
  };
  return figure("Anomalies over time", {
    head: ["Time", "Lines", ...SEVERITIES],
    rows: (all) => all.over_time.map((bin) => [clockOf(bin.time, all.step_seconds), count(bin.lines), ...SEVERITIES.map((one) => count(bin[one] || 0))]),
    draw(box, all) {
      data = all;
      const room = h("div", { class: "plot" });
      box.append(room, h("div", { class: "under" }, legend(), reading));
      shown = overTime(room, all.over_time, point);
      point(null);
      return shown;
    },
    change(box, all) {
      data = all;
      shown.setData(stacked(all.over_time));
    },
    signal,
    className: "wide",
  });
}

const severitySplit = () =>
  figure("Severity", {
    head: ["Severity", "Anomalies"],
    rows: (data) => SEVERITIES.slice().reverse().map((one) => [one, count(data.severity[one] || 0)]),
    draw(box, data) {
      box.append(bars(SEVERITIES.slice().reverse().map((one) => ({ label: [icon(one), one], value: data.severity[one] || 0, className: one }))));
    },
  });

const topServices = () =>
  figure("Services with most anomalies", {
    head: ["Service", "Anomalies"],
    rows: (data) => data.top_services.map((one) => [plain(orNone(one.service)), count(one.anomalies)]),
    draw(box, data) {
      const name = (one) => h("a", { class: "cut", href: linkTo("alerts", { service: one.service }) }, plain(orNone(one.service)));
      const items = data.top_services.slice(0, 8).map((one) => ({ label: name(one), value: one.anomalies }));
      box.append(items.length ? bars(items) : h("p", { class: "empty" }, "Nothing odd in this time."));
    },
  });

function grave(box, alerts) {
  const items = alerts.slice(0, 8).map((alert) =>
    h(
      "li",
      {},
      h(
        "a",
        { href: `#/alerts/${alert.id}` },
        h("span", { class: "row spread" }, badge(alert.severity), h("b", { class: "cut" }, plain(orNone(alert.service))), status(alert.status), moment(alert.last_seen)),
        h("span", { class: "cut soft" }, plain(alert.message)),
      ),
    ),
  );
  keepFocus(box, () => box.replaceChildren(items.length ? h("ul", { class: "brief" }, items) : h("p", { class: "empty" }, "No such alert in this time.")));
}

// What waits for the same, under its detector: "needs …" and the services.
function warming(all) {
  const detectors = new Map();
  for (const { detector, service, needs } of all) {
    const waits = detectors.get(detector) || detectors.set(detector, new Map()).get(detector);
    waits.set(needs, [...(waits.get(needs) || []), service].filter(Boolean));
  }
  return [...detectors].map(([detector, waits]) =>
    h(
      "li",
      {},
      h("b", {}, plain(detector)),
      [...waits].map(([needs, services]) => h("p", {}, `needs ${plain(needs)}`, services.length > 0 && `: ${plain(services.join(", "))}`)),
    ),
  );
}

// Facts by name that are brought up to date where they stand: what somebody opened stays open, a link keeps the focus.
function system() {
  const values = new Map();
  const list = h("dl", { class: "facts" });
  const fact = (name, text, link) => {
    let value = values.get(name);
    if (!value) {
      value = h(link ? "a" : "span", link ? { href: link, class: "mono" } : {});
      values.set(name, value);
      list.append(h("div", {}, h("dt", {}, name), h("dd", {}, value)));
    }
    if (value.textContent !== text) value.textContent = text;
  };
  const many = h("summary");
  const waits = h("ul");
  const details = h("details", { class: "warming", hidden: true }, many, waits);
  const update = (now) => {
    if (!now) return;
    const model = now.model;
    fact("Lines a second", rate(now.lines_per_second));
    fact("Lag", now.lag_lines === null || now.lag_lines === undefined ? "–" : `${compact(now.lag_lines)} lines`);
    fact("Batch, median and p99", `${seconds(now.batch_seconds?.p50)} · ${seconds(now.batch_seconds?.p99)}`);
    fact("From the table", percent(now.table_hit_rate));
    fact("Lines scored", compact(now.counts?.lines_scored));
    fact("Not readable", compact(now.counts?.lines_rejected));
    fact("Model", model ? model.digest.slice(0, 12) : "none yet", "#/model");
    fact("Model's age", model?.age_seconds === undefined || model?.age_seconds === null ? "–" : span(model.age_seconds));
    const all = now.warming_up || [];
    details.hidden = all.length === 0;
    const kinds = new Set(all.map((one) => one.detector)).size;
    const text = kinds === 1 ? "1 detector warms up" : `${kinds} detectors warm up`;
    if (many.textContent !== text) many.textContent = text;
    if (details.open) waits.replaceChildren(...warming(all));
  };
  return { box: h("div", {}, list, details), details, update };
}

// A scorer that has just started has no hour to show.
async function spanOf(params, context) {
  if (SPANS.some(([minutes]) => String(minutes) === params.minutes)) return params.minutes;
  const now = context.status() || (await get("status", {}, context.signal).catch(() => null));
  return now && now.uptime_seconds < 900 ? "10" : "60";
}

export async function render(main, params, context) {
  const chosen = await spanOf(params, context);
  if (context.signal.aborted) return;
  const select = h(
    "select",
    { id: "minutes", on: { change: (event) => (location.hash = `#/overview?minutes=${event.target.value}`) } },
    SPANS.map(([minutes, name]) => h("option", { value: minutes, selected: String(minutes) === chosen }, name)),
  );
  const wrong = h("div");
  const lanesFigure = figure("Services", {
    head: ["Service", "Lines", "Anomalies", "Worst", "Most odd at"],
    rows: laneRows,
    draw: lanes,
    note: "bars: how many lines; shapes: what was odd",
    className: "wide",
  });
  const [time, split, top] = [timeline(context.signal), severitySplit(), topServices()];
  const recent = h("div");
  const panel = system();
  panel.details.addEventListener("toggle", () => panel.update(context.status()));
  const grid = h(
    "div",
    { class: "grid" },
    lanesFigure.card,
    time.card,
    split.card,
    top.card,
    h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, "Alerts of severity error or critical")), recent),
    h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, "System")), panel.box),
  );
  main.append(
    h("div", { class: "title" }, h("h1", { tabindex: -1 }, "Overview"), h("label", { for: "minutes", class: "soft" }, "Last ", select)),
    wrong,
    grid,
  );
  const figures = [lanesFigure, time, split, top];
  const redraw = () => figures.forEach((one) => one.redraw());
  window.addEventListener("isolog-theme", redraw, { signal: context.signal });
  await context.every(POLL_MS, () =>
    context.attempt(wrong, async () => {
      const data = await get("overview", { minutes: chosen }, context.signal);
      figures.forEach((one) => one.update(data));
      grave(recent, data.critical);
      panel.update(context.status());
    }),
  );
  void context.every(2_000, () => panel.update(context.status()));
}
