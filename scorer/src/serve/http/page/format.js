// Numbers and times as people read them. Never builds elements but <time>.

import { h } from "./dom.js";

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
// British "m" for a million reads as a thousandth.
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

const known = (value) => value !== null && value !== undefined && Number.isFinite(Number(value));

export const count = (value) => (known(value) ? whole.format(value) : "–");
export const compact = (value) => (!known(value) ? "–" : value < 10_000 ? whole.format(value) : short.format(value));
export const score = (value) => (known(value) ? Number(value).toFixed(3) : "–");

// A rate: more digits the smaller it is.
export function rate(value) {
  if (!known(value)) return "–";
  if (value >= 100) return compact(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value === 0 ? "0" : Number(value.toPrecision(2)).toString();
}

// A share of 1, in percent.
export function percent(value) {
  if (!known(value)) return "–";
  const hundred = value * 100;
  if (hundred !== 0 && Math.abs(hundred) < 0.01) return `${hundred.toPrecision(1)} %`;
  return `${hundred.toFixed(hundred >= 10 ? 1 : 2)} %`;
}

export function seconds(value) {
  if (!known(value)) return "–";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${Number((value * 1000).toPrecision(2))} ms`;
  if (value < 60) return `${Number(value.toPrecision(2))} s`;
  return span(value);
}

// A length of time in its two greatest units.
export function span(value) {
  if (!known(value)) return "–";
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  let rest = Math.max(0, Math.round(value));
  const parts = [];
  for (const [size, name] of units) {
    const many = Math.floor(rest / size);
    if (many > 0 || (size === 1 && parts.length === 0)) parts.push(`${many} ${name}`);
    rest -= many * size;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

const sameDay = (a, b) => a.toDateString() === b.toDateString();

// A moment, in this browser's time zone, with the day where it is not today and the year where it is another one; the
// exact one on hover.
export function moment(written) {
  const at = new Date(written);
  if (!written || Number.isNaN(at.getTime())) return h("span", { class: "time" }, "–");
  const clock = at.toLocaleTimeString("en-GB");
  const now = new Date();
  const year = at.getFullYear() === now.getFullYear() ? {} : { year: "numeric" };
  const day = sameDay(at, now) ? "" : at.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...year }) + " ";
  return h("time", { class: "time", datetime: written, title: written }, day + clock);
}

// The clock at a place of a scale with steps of so many seconds.
export const clockOf = (written, step) =>
  new Date(written).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}) });
export const orNone = (text, none = "(no service)") => (text === "" || text === null || text === undefined ? none : text);
