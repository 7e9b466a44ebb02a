// The four severities: each has a shape, a colour and a hatch, so that none rests on colour alone.

import { h, s } from "./dom.js";

// Gravest last.
export const SEVERITIES = ["info", "warning", "error", "critical"];

const SHAPES = {
  info: () => s("circle", { cx: 8, cy: 8, r: 5, class: "hollow" }),
  warning: () => s("path", { d: "M8 2 15 14H1z" }),
  error: () => s("path", { d: "M8 1 15 8 8 15 1 8z" }),
  critical: () => s("path", { d: "M5 1h6l4 4v6l-4 4H5l-4-4V5z" }),
};

// The shape alone, drawn at (0, 0)–(16, 16).
export const mark = (severity) => (SHAPES[severity] || SHAPES.info)();

export const icon = (severity) =>
  s("svg", { class: `mark ${severity}`, viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true" }, mark(severity));

// Shape and word.
export const badge = (severity) => h("span", { class: `badge ${severity}` }, icon(severity), severity);

const STATES = { firing: "Firing", resolved: "Resolved", muted: "Muted" };
export const status = (name) => h("span", { class: `status ${name}` }, STATES[name] || name);

export const level = (name) => h("span", { class: `level ${name || ""}` }, name || "–");

// A CSS colour as the page has it now.
export function colour(name) {
  const probe = h("span", { style: { color: `var(--${name})`, display: "none" } });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

// What fills the area of a severity in a canvas: plain, hatched one way, hatched both ways, solid.
export function hatch(severity) {
  const strong = colour(severity);
  const size = 6 * Math.max(1, Math.round(devicePixelRatio || 1));
  const tile = h("canvas", { width: size, height: size });
  const pen = tile.getContext("2d");
  pen.fillStyle = strong;
  pen.globalAlpha = { info: 0.35, warning: 0.3, error: 0.45, critical: 1 }[severity];
  pen.fillRect(0, 0, size, size);
  pen.globalAlpha = 1;
  pen.strokeStyle = strong;
  pen.lineWidth = size / 5;
  const line = (x0, y0, x1, y1) => (pen.beginPath(), pen.moveTo(x0, y0), pen.lineTo(x1, y1), pen.stroke());
  if (severity === "warning" || severity === "error") [-size, 0, size].forEach((x) => line(x, size, x + size, 0));
  if (severity === "error") [-size, 0, size].forEach((x) => line(x, 0, x + size, size));
  return pen.createPattern(tile, "repeat");
}

// What the shapes and hatches mean.
export const legend = () =>
  h("ul", { class: "legend", "aria-label": "Severities" }, SEVERITIES.slice().reverse().map((one) => h("li", {}, icon(one), one)));
