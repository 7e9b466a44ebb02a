// Charts, each with a table of the same numbers behind a button.

import { h, keepFocus, newId } from "./dom.js";
import { clockOf, count } from "./format.js";
import { SEVERITIES, colour, hatch } from "./severity.js";
import uPlot from "./vendor/uplot.js";

// A table from a head and rows of texts, numbers or nodes; the first cell of a row heads it.
export function table(caption, head, rows, className = "") {
  const cell = (value, column) => h(column === 0 ? "th" : "td", column === 0 ? { scope: "row" } : {}, value);
  return h(
    "div",
    { class: "table-box", tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      { class: className },
      h("caption", { class: "offscreen" }, caption),
      h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))),
    ),
  );
}

// A card with a title, a chart and the same as a table. `draw(box, data)` fills an empty box, and may return a plot, which
// ends when it is drawn anew and with the page's `signal`; `change(box, data)` may bring one up to date instead;
// `rows(data)` gives the table. Returns the card and what updates it.
export function figure(title, { head, rows, draw, change, note, signal, className = "" }) {
  const name = newId("figure");
  const chart = h("div", { class: "chart" });
  const numbers = h("div", { class: "numbers", hidden: true });
  const toggle = h("button", { type: "button", class: "quiet small", "aria-pressed": "false", "aria-describedby": name }, "As a table");
  const card = h(
    "figure",
    { class: `card ${className}`, "aria-labelledby": name },
    h("figcaption", { class: "card-head" }, h("h2", { id: name }, title), note && h("span", { class: "soft note" }, note), toggle),
    chart,
    numbers,
  );
  let data = null;
  let drawn = false;
  let held = null;
  const end = () => {
    held?.destroy();
    held = null;
  };
  signal?.addEventListener("abort", end, { once: true });
  const show = () => {
    if (signal?.aborted) return;
    if (!numbers.hidden) {
      numbers.replaceChildren(table(title, head, data ? rows(data) : []));
    } else if (data) {
      if (drawn && change) return change(chart, data);
      keepFocus(chart, () => {
        end();
        chart.replaceChildren();
        held = draw(chart, data) ?? null;
      });
      drawn = true;
    }
  };
  toggle.addEventListener("click", () => {
    numbers.hidden = !numbers.hidden;
    chart.hidden = !numbers.hidden;
    toggle.setAttribute("aria-pressed", String(chart.hidden));
    toggle.textContent = chart.hidden ? "As a chart" : "As a table";
    show();
  });
  const update = (next) => {
    data = next;
    show();
  };
  const redraw = () => {
    drawn = false;
    if (data && numbers.hidden) show();
  };
  return { card, update, redraw };
}

// Bars of equal measure, one under the other: `items` are { label, value, text }.
export function bars(items, className = "") {
  const most = Math.max(1e-12, ...items.map((item) => item.value));
  return h(
    "ul",
    { class: `bars ${className}` },
    items.map((item) =>
      h(
        "li",
        { class: item.className },
        h("span", { class: "bar-label" }, item.label),
        h("span", { class: "bar-track", "aria-hidden": "true" }, h("span", { class: "bar-fill", style: { width: `${(100 * item.value) / most}%` } })),
        h("span", { class: "bar-value" }, item.text ?? count(item.value)),
      ),
    ),
  );
}

const axis = (options = {}) => ({
  stroke: colour("soft"),
  grid: { stroke: colour("line"), width: 1 },
  ticks: { stroke: colour("line"), width: 1, size: 4 },
  font: "12px system-ui, sans-serif",
  ...options,
});

// A uPlot as wide as its box. It listens to the window until it is destroyed.
function plot(box, height, { hooks, ...options }, data) {
  let size = null;
  const shown = new uPlot(
    {
      width: Math.max(200, box.clientWidth),
      height,
      legend: { show: false },
      cursor: { y: false, points: { show: false } },
      hooks: { ...hooks, destroy: [() => size?.disconnect()] },
      ...options,
    },
    data,
    box,
  );
  size = new ResizeObserver(() => {
    const width = Math.max(200, box.clientWidth);
    if (width !== shown.width) shown.setSize({ width, height });
  });
  size.observe(box);
  return shown;
}

// Anomalies over time, stacked by severity. `bins` are { time, info, warning, error, critical }.
export function overTime(box, bins, onPoint) {
  const whole = SEVERITIES.slice().reverse();
  const data = stacked(bins);
  return plot(
    box,
    190,
    {
      scales: { y: { range: (_, __, most) => [0, Math.max(4, most * 1.1)] } },
      axes: [
        axis({ size: 30, values: (_, ticks, __, ___, step) => ticks.map((at) => clockOf(at * 1000, step)), space: 80 }),
        axis({ size: 46, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? count(tick) : "")) }),
      ],
      series: [
        {},
        ...whole.slice().reverse().map((severity) => ({
          label: severity,
          fill: () => hatch(severity),
          stroke: () => colour(severity),
          width: 0,
          paths: uPlot.paths.bars({ size: [0.86, 30], align: 1 }),
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [(self) => onPoint(self.cursor.idx)] },
    },
    data,
  );
}

// Times, then the sums of each severity and the graver ones: drawn over one another they look stacked.
export function stacked(bins) {
  const sums = SEVERITIES.map((_, from) => bins.map((bin) => SEVERITIES.slice(from).reduce((sum, one) => sum + (bin[one] || 0), 0)));
  return [bins.map((bin) => new Date(bin.time).getTime() / 1000), ...sums];
}

// Shares by score as steps; `lines` are { label, values, colour, fill }, `at` a score that is marked.
export function histogram(box, edges, lines, { height = 210, at = () => null, logarithmic = true } = {}) {
  const middle = edges.slice(1).map((edge, index) => (edge + edges[index]) / 2);
  // An empty bin has no logarithm: it stands at the foot.
  const seen = lines.flatMap((line) => line.values).filter((value) => value > 0);
  const least = seen.length ? Math.min(...seen) / 2 : 1e-6;
  const values = (line) => line.values.map((value) => (logarithmic ? Math.max(value, least) : value));
  return plot(
    box,
    height,
    {
      scales: {
        x: { time: false, range: () => [edges[0], edges[edges.length - 1]] },
        y: logarithmic ? { distr: 3, log: 10, range: (_, __, most) => [least, Math.max(most, least * 10) * 1.6] } : {},
      },
      axes: [
        axis({ size: 30, values: (_, ticks) => ticks.map((tick) => String(Number(tick.toFixed(3)))) }),
        axis({ size: 62, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : share(tick))) }),
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: line.label,
          stroke: () => colour(line.colour),
          fill: line.fill ? () => faint(line.colour) : undefined,
          width: line.fill ? 1 : 2,
          dash: line.dash,
          fillTo: () => least,
          paths: line.fill ? uPlot.paths.bars({ size: [1, Infinity] }) : undefined,
          points: { show: false },
        })),
      ],
      hooks: { draw: [(self) => upright(self, at())] },
    },
    [middle, ...lines.map(values)],
  );
}

const share = (value) => (value >= 1e-4 ? `${Number((value * 100).toPrecision(2))} %` : `${(value * 100).toExponential(0)} %`);

function faint(name) {
  const strong = colour(name).match(/[\d.]+/g);
  return strong ? `rgba(${strong.slice(0, 3).join(",")},.28)` : colour(name);
}

function upright(self, value) {
  if (value === null) return;
  const x = Math.round(self.valToPos(value, "x", true)) + 0.5;
  const { ctx: pen, bbox } = self;
  pen.save();
  pen.strokeStyle = colour("text");
  pen.lineWidth = 2 * devicePixelRatio;
  pen.beginPath();
  pen.moveTo(x, bbox.top);
  pen.lineTo(x, bbox.top + bbox.height);
  pen.stroke();
  pen.restore();
}
