// Alerts: firing, resolved or muted, filtered, and new ones as they happen.

import { get, listen } from "./api.js";
import { announce, h, keepFocus, plain, rested } from "./dom.js";
import { count, moment, orNone } from "./format.js";
import { SEVERITIES, badge, status } from "./severity.js";

// Most alerts in the page; older ones are asked for.
const SHOWN = 200;
const PAGE = 50;
const STATES = ["firing", "resolved", "muted"];
const ORDER = Object.fromEntries(SEVERITIES.map((one, place) => [one, place]));

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
  const service = h("input", { id: "alert-service", type: "search", value: params.service || "", autocomplete: "off", spellcheck: "false", on: { input: rested(change) } });
  const text = h("input", { id: "alert-text", type: "search", value: params.text || "", autocomplete: "off", spellcheck: "false", on: { input: rested(change) } });
  const form = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Filter alerts", on: { submit: (event) => event.preventDefault() } },
    h("label", {}, "Severity", severity),
    h("label", {}, "Service", service),
    h("label", {}, "Text", text),
  );
  return { form, read: () => ({ severity: severity.value, service: service.value.trim(), text: text.value.trim() }) };
}

export async function render(main, params, context) {
  const chosen = STATES.includes(params.status) ? params.status : "firing";
  const known = new Map();
  const fresh = new Set();
  let next = null;
  let live = false;

  const list = h("ol", { class: "alert-list" });
  const empty = h("p", { class: "empty", hidden: true });
  const more = h("button", { type: "button", hidden: true, on: { click: () => load(true) } }, "Older alerts");
  const connection = h("span", { class: "live", "data-live": "no" }, "connecting");
  const wrong = h("div");
  const { form, read } = filters(params, () => {
    const kept = Object.fromEntries(Object.entries({ status: chosen, ...read() }).filter(([, value]) => value));
    history.replaceState(null, "", `#/alerts?${new URLSearchParams(kept)}`);
    void load(false);
  });

  const fits = (alert) => {
    const wanted = read();
    const text = wanted.text.toLowerCase();
    return (
      alert.status === chosen &&
      (!wanted.severity || alert.severity === wanted.severity) &&
      (!wanted.service || alert.service === wanted.service) &&
      (!text || [alert.message, alert.service, alert.detector].some((one) => (one || "").toLowerCase().includes(text)))
    );
  };

  let frame = 0;
  function draw() {
    frame = 0;
    const newest = [...known.values()].sort((a, b) => b.last_seen.localeCompare(a.last_seen) || ORDER[b.severity] - ORDER[a.severity]);
    for (const old of newest.splice(SHOWN)) known.delete(old.id);
    keepFocus(list, () => list.replaceChildren(...newest.map((alert) => row(alert, fresh.has(alert.id)))));
    fresh.clear();
    list.hidden = newest.length === 0;
    empty.hidden = newest.length > 0;
    empty.textContent = `No ${chosen} alert${Object.values(read()).some(Boolean) ? " with this filter" : ""}. New ones appear here by themselves.`;
    more.hidden = !next || newest.length >= SHOWN;
  }
  const schedule = () => (frame ||= requestAnimationFrame(draw));

  // What the stream brings is newer than what a page of the list says.
  function take(alert, isNew) {
    const before = known.get(alert.id);
    if (before && before.revision > alert.revision) return;
    if (!fits(alert)) known.delete(alert.id);
    else {
      if (isNew && !before) {
        fresh.add(alert.id);
        announce(`New ${alert.severity} alert of ${orNone(alert.service)}: ${alert.message}`);
      }
      known.set(alert.id, alert);
    }
    schedule();
  }

  async function load(older) {
    await context.attempt(wrong, async () => {
      const answer = await get("alerts", { status: chosen, ...read(), limit: PAGE, after: older ? next : "" }, context.signal);
      if (!older) known.clear();
      next = answer.next ?? null;
      answer.alerts.forEach((alert) => take(alert, false));
      draw();
    });
  }

  main.append(
    h("div", { class: "title" }, h("h1", { tabindex: -1 }, "Alerts"), connection),
    h("div", { class: "row wrap spread" }, tabs(chosen, params), form),
    wrong,
    empty,
    list,
    more,
  );
  listen("alerts/stream", {}, { alert: (alert) => take(alert, true), missed: () => load(false) }, context.signal, (on) => {
    connection.dataset.live = on ? "yes" : "no";
    connection.textContent = on ? "live" : "connecting";
    // What happened while there was no connection.
    if (on && live === false) void load(false);
    live = on;
  });
  await load(false);
}
