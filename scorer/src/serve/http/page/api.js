// Everything that the page asks of its server: answers, changes, event streams, the session.

import { h } from "./dom.js";
import { BEAT_MS, attend } from "./streams.js";

const ROOT = "api/v1/";
// A server that says nothing for so long is taken for gone.
const PATIENCE_MS = 15_000;

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Who is looking. Without a token in the settings everyone on this machine is an operator.
export const session = { authenticated: true, role: "operator", csrf: "", token_needed: false };
const watchers = new Set();
export const onSession = (run) => watchers.add(run);
export const mayChange = () => session.role === "operator";

// What stands in place of the buttons where a viewer looks.
export const operatorsOnly = () => (mayChange() ? null : h("p", { class: "soft small" }, "Only an operator may change this."));

function note(answer) {
  Object.assign(session, answer);
  for (const run of watchers) run(session);
}

export function address(path, params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params || {})) {
    if (value !== "" && value !== null && value !== undefined) query.set(name, value);
  }
  const text = query.toString();
  return ROOT + path + (text ? "?" + text : "");
}

async function fault(answer) {
  const text = await answer.text();
  try {
    return new ApiError(answer.status, JSON.parse(text).error || text);
  } catch {
    return new ApiError(answer.status, text.trim() || `the server answered ${answer.status} ${answer.statusText}`);
  }
}

// What the server answers, read whole within a limit of time.
async function ask(url, { signal, ...options }) {
  const limit = AbortSignal.timeout(PATIENCE_MS);
  try {
    const answer = await fetch(url, { credentials: "same-origin", signal: signal ? AbortSignal.any([signal, limit]) : limit, ...options });
    if (answer.status === 401) note({ authenticated: false, token_needed: true });
    if (!answer.ok) throw await fault(answer);
    const text = await answer.text();
    return text ? JSON.parse(text) : null;
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError || error instanceof SyntaxError) throw error;
    if (error.name === "TimeoutError") throw new ApiError(0, `The scorer has not answered for ${PATIENCE_MS / 1_000} s.`);
    throw new ApiError(0, "The scorer does not answer. Is it running?");
  }
}

export const get = (path, params, signal) => ask(address(path, params), { signal, cache: "no-store" });

// Signals for questions of which only the last matters: each ends the one before.
export function latest(signal) {
  let last = null;
  return () => {
    last?.abort();
    last = new AbortController();
    return AbortSignal.any([signal, last.signal]);
  };
}

// The services of the last day, as many as the overview names.
export async function services(signal) {
  const day = await get("overview", { minutes: 1_440 }, signal);
  return day.services.map((one) => one.service).filter(Boolean);
}

function changed(method, path, body) {
  const headers = { "X-CSRF-Token": session.csrf };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return ask(address(path), { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}

export async function readSession() {
  note(await get("session"));
}

// Changes something. A scorer that was started anew has another mark against forged requests: it is fetched once.
export async function change(method, path, body) {
  const before = session.csrf;
  try {
    return await changed(method, path, body);
  } catch (error) {
    if (error.status !== 403) throw error;
    await readSession();
    if (session.csrf === before) throw error;
    return changed(method, path, body);
  }
}

export async function signIn(token) {
  note(await change("POST", "session", { token }));
}

export async function signOut() {
  await change("DELETE", "session");
  note({ authenticated: false });
}

// What a stream says while the connections that a browser may hold are those of other windows.
export const WAITS = "waits for other windows";

// What holds the event streams: a worker of all windows, else this page itself.
let holder = null;
const held = () =>
  (holder ||= new Promise((done) => {
    try {
      const worker = new SharedWorker(new URL("streams.js", import.meta.url), { type: "module", name: "isolog-streams" });
      worker.onerror = () => done(attend);
      worker.port.onmessage = () => done((port) => worker.port.postMessage(null, [port]));
    } catch {
      done(attend);
    }
  }));

// Follows an event stream until the signal, and begins again where it broke. `handlers` by event name; `state` hears
// whether it is connected, and whether it waits for other windows. A page that nobody sees follows nothing. Whoever asks
// what came in between asks when `state` says true again.
export function listen(path, params, handlers, signal, state = () => {}) {
  let port = null;
  let beat = 0;
  const close = () => {
    clearInterval(beat);
    port?.postMessage("close");
    port?.close();
    port = null;
  };
  const heard = ({ on, waits, name, data }) => (name ? handlers[name](JSON.parse(data)) : state(on, waits));
  const open = () => {
    if (signal.aborted || document.hidden || port) return;
    const ends = new MessageChannel();
    let answered = true;
    port = ends.port1;
    port.onmessage = ({ data }) => {
      if (data === "here") answered = true;
      else if (port === ends.port1) heard(data);
    };
    port.postMessage({ address: address(path, params), names: Object.keys(handlers) });
    void held().then((attends) => attends(ends.port2));
    beat = setInterval(() => {
      if (!answered) {
        // The worker is gone, with all that it held.
        holder = null;
        close();
        state(false);
        return open();
      }
      answered = false;
      return port.postMessage("here");
    }, BEAT_MS);
  };
  const turned = () => {
    if (!document.hidden) return open();
    close();
    state(false);
  };
  document.addEventListener("visibilitychange", turned, { signal });
  signal.addEventListener("abort", close);
  open();
}
