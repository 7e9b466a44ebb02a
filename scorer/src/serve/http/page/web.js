// Web: who asks for what, and what fails, in the last hour of web accesses.

import { get } from "./api.js";
import { bars, figure, table } from "./charts.js";
import { h, plain } from "./dom.js";
import { count, span } from "./format.js";

const POLL_MS = 10_000;

const top = (title, field, name) =>
  figure(title, {
    head: [name, "Accesses"],
    rows: (data) => data[field].map((one) => [plain(one[name.toLowerCase()]), count(one.count)]),
    draw(box, data) {
      const items = data[field].slice(0, 12).map((one) => ({ label: h("span", { class: "cut mono", title: one[name.toLowerCase()] }, plain(one[name.toLowerCase()])), value: one.count }));
      box.append(items.length ? bars(items) : h("p", { class: "empty" }, "No web access in the last hour."));
    },
  });

export async function render(main, params, context) {
  const wrong = h("div");
  const about = h("p", { class: "soft" });
  const [addresses, urls] = [top("Addresses", "top_ips", "IP"), top("URLs", "top_urls", "URL")];
  const errors = h("div");
  const body = h(
    "div",
    { class: "grid", hidden: true },
    addresses.card,
    urls.card,
    h("section", { class: "card wide" }, h("div", { class: "card-head" }, h("h2", {}, "Errors"), h("a", { class: "small", href: "summary.json" }, "summary.json")), errors),
  );
  main.append(h("div", { class: "title" }, h("h1", { tabindex: -1 }, "Web"), about), wrong, body);
  await context.every(POLL_MS, () =>
    context.attempt(wrong, async () => {
      const data = await get("web", {}, context.signal);
      body.hidden = false;
      about.textContent = `${count(data.accesses)} ${data.accesses === 1 ? "access" : "accesses"} in the last ${data.window_seconds === 3_600 ? "hour" : span(data.window_seconds)}`;
      addresses.update(data);
      urls.update(data);
      const rows = data.errors.slice(0, 100).map((one) => [count(one.status), h("span", { class: "mono" }, plain(one.ip)), h("span", { class: "mono" }, plain(one.url))]);
      errors.replaceChildren(rows.length ? table("Errors", ["Status", "IP", "URL"], rows) : h("p", { class: "empty" }, "No access failed."));
    }),
  );
}
