// Elements and text. Whatever a log line says becomes a text node here and nothing else.

const SVG = "http://www.w3.org/2000/svg";

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
  else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
  else if (name === "text") node.textContent = value;
  else if (name === "value") node.value = value;
  else node.setAttribute(name, value === true ? "" : String(value));
}

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) set(node, name, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// An element: h("p", { class: "soft" }, "text", other). `on` holds handlers, `style` CSS properties.
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

// The same for SVG.
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

let last = 0;
export const newId = (name) => `${name}-${(last += 1)}`;

// C0 and C1 control characters but tab and newline, and the format characters that reorder or hide text.
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

// What a reader has to know of a character that shows nothing.
const named = (character) => `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;

// A text of somebody else with everything in it visible and in its order.
export const plain = (text) => String(text ?? "").replace(UNSEEN, named);

// Longest text that is shown at once.
const SHOWN = 2_000;

// A long text begins; a button shows the rest, as far as a page can bear.
export function clipped(text, most = SHOWN) {
  const whole = String(text ?? "");
  if (whole.length <= most) return [plain(whole)];
  const rest = whole.length - most;
  const more = h("button", { type: "button", class: "link" }, `show ${rest.toLocaleString("en")} more characters`);
  const start = document.createTextNode(plain(whole.slice(0, most)) + "… ");
  more.addEventListener("click", () => {
    start.data = plain(whole.slice(0, 100_000)) + (whole.length > 100_000 ? "… (cut here; the store has the rest)" : "");
    more.remove();
  });
  return [start, more];
}

// Tells a screen reader.
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

// A line at the foot of the window for a while; `action` is a button on it.
export function toast(text, action) {
  const box = document.getElementById("toasts");
  const before = document.activeElement;
  const note = h("div", { class: "toast", role: "status" }, h("span", {}, text));
  const drop = () => {
    const held = note.contains(document.activeElement);
    note.remove();
    if (held) (before?.isConnected ? before : document.querySelector("main h1"))?.focus({ preventScroll: true });
  };
  if (action) note.append(h("button", { type: "button", on: { click: () => (drop(), action.run()) } }, action.label));
  note.append(h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", on: { click: drop } }, "×"));
  box.append(note);
  while (box.childElementCount > 3) box.firstElementChild.remove();
  setTimeout(drop, action ? 20_000 : 6_000);
}

// Copies a text; where the browser keeps the clipboard for secure pages, the old way.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = h("textarea", { class: "offscreen", readonly: true, value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  toast("Copied.");
}

// Waits until a control rests.
export function rested(run, ms = 250) {
  let timer = 0;
  return (...all) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...all), ms);
  };
}

// What a control is known by when it is made anew.
const keyOf = (node) => node.dataset.key || node.id || node.getAttribute("href");

// Fills a box anew without taking the focus from the link or the button that has it.
export function keepFocus(box, run) {
  const held = box.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  run();
  if (held) [...box.querySelectorAll("a, button, input, summary")].find((node) => keyOf(node) === held)?.focus({ preventScroll: true });
}

// Names that a field offers; any other may be written.
export const offered = (id, names) => h("datalist", { id }, names.map((name) => h("option", { value: name })));
