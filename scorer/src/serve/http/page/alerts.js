// Alerts: firing, resolved or muted, filtered, and new ones as they happen.

import { WAITS, get, latest, listen, services } from "./api.js";
import { everyDecision } from "./decisions.js";
import { announce, h, keepFocus, offered, plain, rested } from "./dom.js";
import { count, moment, orNone } from "./format.js";
import { SEVERITIES, badge, status } from "./severity.js";

// Most alerts in the page; older ones are asked for.
const SHOWN = 200;
const PAGE = 50;
const STATES = ["firing", "resolved", "muted"];
// Between what happened and the question for it; between questions for the counts of what goes on.
const SOON_MS = 500;
const POLL_MS = 10_000;

function row(alert, fresh) {
  const line = (alert.evidence || []).reduce((best, one) => (best && best.score >= one.score ? best : one), null);
  return h(
    "li",
    { class: fresh ? "alert-row fresh" : "alert-row", "data-id": alert.id },
    h(
      "a",
      { href: `#/alerts/${alert.id}` },
      h("span", { class: "alert-badges" }, badge(alert.severity)),
      h(
        "span",
        { class: "alert-main" },
        h("b", { class: "cut" }, plain(orNone(alert.service))),
        h("span", { class: "alert-text" }, plain(alert.message)),
        line && h("span", { class: "mono small soft cut" }, plain(line.message.slice(0, 300))),
        h(
          "span",
          { class: "soft small" },
          `${detectors(alert)} · ${count(alert.count)} ${alert.count === 1 ? "anomaly" : "anomalies"}`,
          alert.held_back && " · held back by the daily budget",
        ),
      ),
      h("span", { class: "alert-side" }, status(alert.status), h("span", { class: "soft small" }, "last ", moment(alert.last_seen))),
    ),
  );
}

function detectors(alert) {
  const names = new Set([alert.detector, ...(alert.parts || []).map((part) => part.detector)]);
  return [...names].join(", ");
}

function tabs(chosen, params) {
  const link = (name) =>
    h("a", { href: `#/alerts?${new URLSearchParams({ ...params, status: name })}`, "aria-current": name === chosen ? "true" : null }, name[0].toUpperCase() + name.slice(1));
  return h("div", { class: "tabs", role: "group", "aria-label": "Which alerts" }, STATES.map(link));
}

function filters(params, change) {
  const severity = h(
    "select",
    { id: "alert-severity", on: { change } },
    h("option", { value: "" }, "any"),
    SEVERITIES.map((one) => h("option", { value: one, selected: params.severity === one }, one)),
  );
  const service = h("input", { id: "alert-service", type: "search", list: "alert-services", value: params.service || "", autocomplete: "off", spellcheck: "false", on: { input: rested(change) } });
  const text = h("input", { id: "alert-text", type: "search", value: params.text || "", autocomplete: "off", spellcheck: "false", on: { input: rested(change) } });
  const names = offered("alert-services", []);
  const form = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Filter alerts", on: { submit: (event) => event.preventDefault() } },
    h("label", {}, "Severity", severity),
    h("label", {}, "Service", service, names),
    h("label", {}, "Text", text),
  );
  const offer = (all) => names.replaceWith(offered("alert-services", all));
  return { form, offer, read: () => ({ severity: severity.value, service: service.value.trim(), text: text.value.trim() }) };
}

export async function render(main, params, context) {
  const chosen = STATES.includes(params.status) ? params.status : "firing";
  let shown = [];
  let next = null;
  let first = true;
  let drawn = "";

  const list = h("ol", { class: "alert-list", hidden: true });
  const empty = h("p", { class: "empty", hidden: true });
  const more = h("button", { type: "button", hidden: true, on: { click: () => grow() } }, "Older alerts");
  const connection = h("span", { class: "live", "data-live": "no" }, "connecting");
  const wrong = h("div");
  const decisions = everyDecision(context);
  const { form, read, offer } = filters(params, () => {
    const kept = Object.fromEntries(Object.entries({ status: chosen, ...read() }).filter(([, value]) => value));
    history.replaceState(null, "", `#/alerts?${new URLSearchParams(kept)}`);
    first = true;
    void load(false);
  });

  function draw(fresh) {
    const text = JSON.stringify(shown);
    if (text !== drawn) keepFocus(list, () => list.replaceChildren(...shown.map((alert) => row(alert, fresh.has(alert.id)))));
    drawn = text;
    list.hidden = shown.length === 0;
    empty.hidden = shown.length > 0;
    empty.textContent = `No ${chosen} alert${Object.values(read()).some(Boolean) ? " with this filter; a service is meant by its whole name" : ""}. New ones appear here by themselves.`;
    more.hidden = !next || shown.length >= SHOWN;
  }

  // The server says which alerts fit and in what order: also after what the stream brings.
  const ask = latest(context.signal);
  const load = (older) =>
    context.attempt(wrong, async () => {
      const limit = older ? PAGE : Math.min(SHOWN, Math.max(PAGE, shown.length));
      const answer = await get("alerts", { status: chosen, ...read(), limit, after: older ? next : "" }, ask());
      const known = new Set(shown.map((alert) => alert.id));
      const fresh = first || older ? [] : answer.alerts.filter((alert) => !known.has(alert.id));
      if (fresh.length) announce(fresh.slice(0, 3).map((alert) => `New ${alert.severity} alert of ${orNone(alert.service)}: ${alert.message}`).join(". "));
      shown = older ? [...shown, ...answer.alerts.filter((alert) => !known.has(alert.id))] : answer.alerts;
      next = answer.next ?? null;
      first = false;
      draw(new Set(fresh.map((alert) => alert.id)));
    });

  // Older ones that were asked for are waited for.
  let growing = false;
  const grow = async () => {
    growing = true;
    await load(true);
    growing = false;
  };
  const refresh = async () => growing || load(false);

  // However fast alerts come, the server is asked as often as a reader can follow.
  let timer = 0;
  const soon = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      void refresh();
      void decisions.load();
    }, SOON_MS);
  };
  context.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });

  main.append(
    h("div", { class: "title" }, h("h1", { tabindex: -1 }, "Alerts"), connection),
    h("div", { class: "row wrap spread" }, tabs(chosen, params), form),
    wrong,
    empty,
    list,
    more,
    decisions.card,
  );
  listen("alerts/stream", {}, { alert: soon, missed: soon }, context.signal, (on, waits) => {
    connection.dataset.live = on ? "yes" : "no";
    connection.textContent = on ? "live" : waits ? WAITS : "connecting";
    // What happened while there was no connection.
    if (on) soon();
  });
  void services(context.signal).then(offer, () => {});
  await Promise.all([context.every(POLL_MS, refresh), decisions.load()]);
}
