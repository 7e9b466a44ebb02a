// The shell: routes, navigation, the state of the scorer, signing in. Pages are modules of their own, fetched when
// they are first shown.

import { get, onSession, readSession, session, signIn, signOut } from "./api.js";
import { announce, h } from "./dom.js";
import { compact, rate, span } from "./format.js";

const POLL_MS = 2_000;

const PAGES = {
  overview: { name: "Overview", load: () => import("./overview.js") },
  alerts: { name: "Alerts", load: () => import("./alerts.js") },
  logs: { name: "Logs", load: () => import("./logs.js") },
  threshold: { name: "Threshold", load: () => import("./threshold.js") },
  model: { name: "Model", load: () => import("./model.js") },
  web: { name: "Web", load: () => import("./web.js") },
  simulation: { name: "Simulation", load: () => import("./simulation.js"), shown: (now) => now?.simulator === true },
};
const ALERT = { name: "Alert", load: () => import("./alert.js") };
const NOWHERE = { name: "No such page", load: () => ({ render: nowhere }) };

const byId = (id) => document.getElementById(id);
const main = byId("content");

let status = null;
let leaving = new AbortController();
let here = null;

// Ids are of hexadecimal digits, names of pages are words: neither is ever decoded.
const ID = /^[0-9a-f]{1,64}$/;

// "#/alerts/ID?x=y" → its page, what follows, and the query.
function place() {
  const [, path, query] = /^#?\/?([^?]*)\??(.*)$/s.exec(location.hash);
  const params = Object.fromEntries(new URLSearchParams(query));
  const [name, id, ...rest] = (path || "overview").split("/");
  if (name === "alerts" && ID.test(id) && rest.length === 0) return { name, page: ALERT, params: { ...params, id } };
  if (Object.hasOwn(PAGES, name) && !id) return { name, page: PAGES[name], params };
  return { name: "", page: NOWHERE, params: {} };
}

function nowhere(box) {
  box.append(h("h1", { tabindex: -1 }, NOWHERE.name), h("p", { class: "empty" }, "Nothing is at this address. ", h("a", { href: "#/overview" }, "To the overview")));
}

function navigation() {
  const { name } = place();
  const items = Object.entries(PAGES).filter(([, page]) => !page.shown || page.shown(status));
  const firing = status?.alerts_firing;
  const links = items.map(([key, page]) =>
    h(
      "a",
      { href: `#/${key}`, "aria-current": key === name ? "page" : null },
      page.name,
      key === "alerts" && firing > 0 && h("span", { class: "pill", title: `${firing} firing` }, compact(firing), h("span", { class: "offscreen" }, " firing")),
    ),
  );
  const nav = byId("nav");
  const text = links.map((link) => link.outerText ?? link.textContent).join() + name;
  if (nav.dataset.text === text) return;
  nav.dataset.text = text;
  const focused = nav.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  nav.replaceChildren(...links);
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  if (focused) links.find((link) => link.getAttribute("href") === focused)?.focus();
}

// What a page gets: a signal that ends with it, polling that rests while nobody looks, and the last status.
function context(signal) {
  return {
    signal,
    status: () => status,
    every(ms, run) {
      let timer = 0;
      const turn = async () => {
        if (!document.hidden) await run();
        if (!signal.aborted) timer = setTimeout(turn, ms);
      };
      signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
      return signal.aborted ? undefined : turn();
    },
    // Runs what asks the server; where it fails the place says why, with a button to try again.
    async attempt(box, run) {
      try {
        const done = await run();
        box.replaceChildren();
        return done;
      } catch (error) {
        if (error.name !== "AbortError" && !signal.aborted) box.replaceChildren(trouble(error, () => this.attempt(box, run)));
        return undefined;
      }
    },
  };
}

// What went wrong, for people.
export function trouble(error, again) {
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("p", {}, h("strong", {}, "This could not be had. "), error.message),
    again && h("p", {}, h("button", { type: "button", on: { click: again } }, "Try again")),
  );
}

async function go(focus) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { page, params } = place();
  here = location.hash;
  navigation();
  document.title = `${page.name} · Isolog`;
  if (!session.authenticated) return main.replaceChildren(signInForm());
  try {
    const module = await page.load();
    if (signal.aborted) return;
    main.replaceChildren();
    await module.render(main, params, context(signal));
  } catch (error) {
    if (!signal.aborted) main.replaceChildren(h("h1", { tabindex: -1 }, page.name), trouble(error, () => go(true)));
  }
  if (focus && !signal.aborted) {
    window.scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
    announce(`${page.name} page`);
  }
}

function signInForm() {
  const field = h("input", { id: "token", type: "password", autocomplete: "current-password", spellcheck: "false", required: true });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await signIn(field.value.trim());
      await go(true);
    } catch (error) {
      wrong.textContent = error.message;
      field.select();
    }
  };
  return h(
    "section",
    { class: "card sign-in" },
    h("h1", { tabindex: -1 }, "Sign in"),
    h("p", { class: "soft" }, "This scorer asks for a token: the value of its setting HTTP_TOKEN, or HTTP_VIEWER_TOKEN to look only."),
    h("form", { on: { submit } }, h("label", { for: "token" }, "Token"), h("div", { class: "row" }, field, h("button", { type: "submit", class: "main" }, "Sign in")), wrong),
  );
}

function state(kind, text) {
  byId("state").dataset.state = kind;
  if (byId("state-text").textContent !== text) byId("state-text").textContent = text;
}

// The line at the top: whether it works, and what it does.
function show(now) {
  const waits = (now.waiting_for || []).map((one) => `${one.part}: ${one.why}`);
  byId("state").title = waits.join("\n");
  state(now.ready ? "good" : "wait", now.ready ? "ready" : waits.length ? `not ready: ${waits[0]}` : "not ready");
  const parts = [];
  if (now.lines_per_second !== undefined && now.lines_per_second !== null) parts.push(`${rate(now.lines_per_second)} lines/s`);
  if (now.inputs?.length) parts.push(`from ${now.inputs.join(", ")}`);
  parts.push(`up ${span(now.uptime_seconds)}`, `version ${now.version}`);
  byId("about").textContent = parts.join(" · ");
}

async function poll() {
  if (!document.hidden && session.authenticated) {
    try {
      status = await get("status");
      show(status);
      navigation();
    } catch (error) {
      if (error.status !== 401) state("bad", error.status === 0 ? "no connection" : error.message);
    }
  }
  setTimeout(poll, POLL_MS);
}

onSession((now) => {
  byId("sign-out").hidden = !(now.authenticated && now.token_needed);
  if (!now.authenticated && !main.querySelector(".sign-in")) {
    leaving.abort();
    state("wait", "signed out");
    main.replaceChildren(signInForm());
  }
});
byId("sign-out").addEventListener("click", () => signOut().catch((error) => state("bad", error.message)));
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
window.addEventListener("hashchange", () => location.hash !== here && go(true));

try {
  await readSession();
} catch (error) {
  if (error.status !== 401 && error.status !== 404) state("bad", error.message);
}
poll();
// Who has gone elsewhere meanwhile is there.
if (here !== location.hash) go(false);
