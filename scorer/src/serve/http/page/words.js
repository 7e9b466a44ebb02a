// Why a line is odd: its odd words marked in the text, and the reasons in words.

import { h, plain } from "./dom.js";
import { count } from "./format.js";

const LETTER = /[\p{L}\p{N}]/u;
const SHOWN = 2_000;

// What a word must weigh to be marked, of the heaviest one: beside a word that was never seen, one seen often is usual.
const HEAVY = 1 / 3;
// And at least, in nats.
const LEAST = 0.5;

const joined = (text, at) => at > 0 && LETTER.test(text[at - 1]) && LETTER.test(text[at] ?? " ");

// Where a word begins in a text, from a place on; -1 where it does not. A single letter has to stand alone.
function wordAt(text, word, from) {
  const begins = (at) => !joined(text, at) && (word.length > 1 || !joined(text, at + word.length));
  let found = text.indexOf(word, from);
  while (found >= 0 && !begins(found)) found = text.indexOf(word, found + 1);
  return found;
}

export const times = (seen) =>
  seen === 0 ? "never seen in training" : seen === 1 ? "seen once in training" : `seen ${count(seen)} times in training`;

const MARKED = new Set(["rare_word"]);

// A text with its odd words in <mark>, each with how often training saw it.
export function marked(text, reasons) {
  const shown = String(text ?? "").slice(0, SHOWN);
  const rare = (reasons || []).filter((one) => MARKED.has(one.kind) && one.word);
  const most = Math.max(0, ...rare.map((one) => one.contribution));
  const odd = rare.filter((one) => one.contribution >= Math.max(LEAST, HEAVY * most)).slice(0, 8);
  const words = odd.map((one) => [one.word.toLowerCase(), one.seen]);
  // A letter whose small form is longer would shift every place after it.
  const small = shown.toLowerCase();
  const lower = small.length === shown.length ? small : shown;
  const out = [];
  let at = 0;
  while (at < shown.length) {
    let next = -1;
    let best = null;
    for (const [word, seen] of words) {
      const found = wordAt(lower, word, at);
      if (found >= 0 && (next < 0 || found < next || (found === next && word.length > best.length))) {
        next = found;
        best = { length: word.length, seen };
      }
    }
    if (next < 0) break;
    if (next > at) out.push(plain(shown.slice(at, next)));
    out.push(h("mark", { title: times(best.seen) }, plain(shown.slice(next, next + best.length))));
    at = next + best.length;
  }
  out.push(plain(shown.slice(at)), String(text ?? "").length > SHOWN ? "…" : "");
  return h("span", { class: "message" }, out);
}

function reason(one) {
  const word = h("b", { class: "mono" }, plain(one.word));
  switch (one.kind) {
    case "rare_pattern":
      return ["a line like this was ", h("b", {}, times(one.seen))];
    case "severity":
      return [h("b", {}, plain(one.word)), ` here: ${times(one.seen)}`];
    case "unusual_combination":
      return ["unusual together: ", word];
    case "rare_event":
      return ["few sessions have ", word];
    case "unusual_count":
      return ["unusually many or few: ", word];
    case "missing_event":
      return ["most sessions have ", word, ", this one lacks it"];
    default:
      return [word, ` ${times(one.seen)}`];
  }
}

// The reasons, largest first, and the nearest usual line.
export function why(reasons, nearest) {
  const list = (reasons || []).slice(0, 6).map((one) => h("li", {}, reason(one)));
  return h(
    "div",
    { class: "why" },
    list.length > 0 && h("ul", {}, list),
    nearest && h("p", {}, "nearest usual line: ", h("span", { class: "mono usual", title: plain(nearest) }, plain(nearest))),
  );
}

// A score as a number and a bar.
export function scoreBar(value, percentile) {
  const known = Number.isFinite(value);
  const title = known ? `score ${value}${Number.isFinite(percentile) ? `, odder than ${percentile.toFixed(2)} % of the training lines` : ""}` : "not scored";
  return h(
    "span",
    { class: "score", title },
    h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "fill", style: { width: `${known ? 100 * Math.min(1, Math.max(0, value)) : 0}%` } })),
    h("span", { class: "score-number" }, known ? value.toFixed(3) : "–"),
  );
}
