// What people decided: silences, and what is normal; who did, when, and how an operator takes it back.

import { change, get, mayChange } from "./api.js";
import { h, keepFocus, plain, toast } from "./dom.js";
import { moment } from "./format.js";

// Odd lines and new patterns are told apart by a digest, which says nothing to a reader.
const DIGEST = /^[0-9a-f]{16}$/;

// A detector and what it found it in: the name of a transaction, a class of errors or the like.
export function found({ detector, subject }) {
  if (DIGEST.test(subject)) return h("span", { title: `pattern ${subject}` }, plain(detector));
  return plain(subject ? `${detector} · ${subject}` : detector);
}

// What was called normal, patterns counted: "odd_line · billing · 3 patterns".
function summed(normals) {
  const kinds = new Map();
  for (const { detector, service, subject } of normals) {
    const names = [detector, service, DIGEST.test(subject) ? "" : subject].filter(Boolean).join(" · ");
    const many = kinds.get(names) || 0;
    kinds.set(names, many + (DIGEST.test(subject) ? 1 : 0));
  }
  return [...kinds].map(([names, many]) => plain(many === 0 ? names : `${names} · ${many} ${many === 1 ? "pattern" : "patterns"}`)).join("; ");
}

// Runs a change and says where the button is why it was refused. The button keeps the focus meanwhile.
export async function attempted(button, wrong, run) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  wrong.textContent = "";
  try {
    await run();
  } catch (error) {
    wrong.textContent = error.message;
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

const by = (one) => h("span", { class: "soft" }, " · ", plain(one.created_by), one.created_at && [", ", moment(one.created_at)]);

function item(one, about, label, run, wrong) {
  // What stands in the config file is not taken back here.
  const button = mayChange() && one.created_at && h("button", { type: "button", class: "small", "data-key": `take-back-${one.id}` }, label);
  if (button) button.addEventListener("click", () => attempted(button, wrong, () => run(one.id)));
  return h("li", { class: "row spread" }, h("span", { class: "decided" }, about, one.comment && ` · ${plain(one.comment)}`, by(one)), button);
}

const silenceItem = (one, reload, wrong) =>
  item(one, [h("code", {}, plain(one.filter)), " until ", moment(one.until)], "End it", (id) => endSilence(id, reload), wrong);

function normalItem(one, reload, wrong) {
  const all = summed(one.normals);
  const about = one.alert ? h("a", { href: `#/alerts/${one.alert}` }, all) : all;
  return item(one, about, "Undo", (id) => undoNormal(id, reload), wrong);
}

export async function endSilence(id, reload) {
  await change("DELETE", `silences/${id}`);
  await reload();
  toast("The silence has ended.");
}

export async function undoNormal(id, reload) {
  await change("DELETE", `normals/${id}`);
  await reload();
  toast("Undone: this may alert again.");
}

// A list of decisions that is filled anew without losing the focus: `show(decisions)`. Where the button with the focus
// goes with its line, `next` gets it.
function list(make, next) {
  const box = h("ul", { class: "plain-list decisions" });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const show = (all, reload) => {
    const held = box.contains(document.activeElement);
    keepFocus(box, () => box.replaceChildren(...(all || []).map((one) => make(one, reload, wrong))));
    box.hidden = !all?.length;
    if (held && !box.contains(document.activeElement)) next()?.focus({ preventScroll: true });
  };
  return { box, wrong, show };
}

export const silenceList = (next) => list(silenceItem, next);
export const normalList = (next) => list(normalItem, next);

// All that is in force, for the page of alerts. Returns the card and what fills it.
export function everyDecision(context) {
  const refused = h("div");
  const title = h("h2", { tabindex: -1 }, "Silences, and what is normal");
  const [silences, normals] = [silenceList(() => title), normalList(() => title)];
  const none = h("p", { class: "empty" });
  const card = h(
    "section",
    { class: "card" },
    h("div", { class: "card-head" }, title),
    refused,
    none,
    silences.box,
    silences.wrong,
    normals.box,
    normals.wrong,
  );
  const load = () =>
    context.attempt(refused, async () => {
      const [muted, usual] = await Promise.all([get("silences", {}, context.signal), get("normals", {}, context.signal)]);
      silences.show(muted.silences, load);
      normals.show(usual.normals, load);
      none.hidden = muted.silences.length + usual.normals.length > 0;
      none.textContent = "Nothing is silenced or called normal.";
    });
  return { card, load };
}
