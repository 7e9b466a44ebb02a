// Event streams for all windows of a browser, which has six connections to a host for them together: whoever follows
// the same stream shares one connection, and some are always left for questions. Runs as a SharedWorker, or within the
// page where a browser has none. Knows nothing of what a stream says.

// Connections that may be held; further streams wait until one is free.
const MOST = 4;
const RETRY_MS = 3_000;
// A window says that it is there each BEAT_MS, and is taken for gone when it has not for so long.
export const BEAT_MS = 10_000;
const GONE_MS = 60_000;

// By address, the oldest first.
const streams = new Map();
let sweeping = 0;

class Stream {
  constructor(address, names) {
    Object.assign(this, { address, names, followers: new Map(), source: null, timer: 0 });
  }

  tell(message) {
    for (const port of this.followers.keys()) port.postMessage(message);
  }

  connect() {
    clearTimeout(this.timer);
    const source = new EventSource(this.address);
    const again = () => {
      this.close();
      this.tell({ on: false });
      this.timer = setTimeout(turn, RETRY_MS);
    };
    source.onopen = () => this.tell({ on: true });
    source.onerror = () => (source.readyState === EventSource.CLOSED ? again() : this.tell({ on: false }));
    source.addEventListener("end", again);
    for (const name of this.names) source.addEventListener(name, (event) => this.tell({ name, data: event.data }));
    Object.assign(this, { source, timer: 0 });
  }

  close() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.source?.close();
    this.source = null;
  }

  leave(port) {
    port.close();
    if (!this.followers.delete(port) || this.followers.size > 0) return;
    this.close();
    streams.delete(this.address);
    turn();
  }
}

// The oldest streams have a connection, the others wait for one.
function turn() {
  [...streams.values()].forEach((stream, index) => {
    if (index >= MOST) stream.tell({ on: false, waits: true });
    else if (!stream.source) stream.connect();
  });
}

function sweep() {
  for (const stream of streams.values()) {
    for (const [port, heard] of stream.followers) if (Date.now() - heard > GONE_MS) stream.leave(port);
  }
  if (streams.size > 0) return;
  clearInterval(sweeping);
  sweeping = 0;
}

// A follower at the other end of a port. It says first what it wants, `{ address, names }` with the names of events,
// then "here" from time to time, which is sent back, and "close" at the end. It hears `{ on, waits }` and `{ name, data }`.
export function attend(port) {
  let stream = null;
  port.onmessage = ({ data }) => {
    if (data === "close") return stream?.leave(port);
    if (data === "here") return stream?.followers.has(port) && (stream.followers.set(port, Date.now()), port.postMessage("here"));
    stream = streams.get(data.address) || new Stream(data.address, data.names);
    streams.set(data.address, stream);
    stream.followers.set(port, Date.now());
    if (stream.source) port.postMessage({ on: stream.source.readyState === EventSource.OPEN });
    else if (!stream.timer) turn();
    sweeping ||= setInterval(sweep, BEAT_MS);
    return undefined;
  };
}

// A window connects with one port, hears that this works, and hands over a further port for each stream.
if (globalThis.SharedWorkerGlobalScope) {
  self.onconnect = ({ ports: [port] }) => {
    port.onmessage = (event) => attend(event.ports[0]);
    port.postMessage("ready");
  };
}
