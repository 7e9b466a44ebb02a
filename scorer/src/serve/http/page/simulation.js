// Simulation: what the attached simulator does; only there where one is attached.

import { change, get, mayChange, operatorsOnly } from "./api.js";
import { h, plain, toast } from "./dom.js";
import { percent, rate } from "./format.js";

function knob(id, name, props, written) {
  const input = h("input", { id, type: "range", ...props });
  const output = h("output", { for: id });
  const say = () => (output.textContent = written(Number(input.value)));
  input.addEventListener("input", say);
  return { row: h("div", { class: "control" }, h("label", { for: id }, name), input, output), input, set: (value) => ((input.value = value), say()) };
}

export async function render(main, params, context) {
  const wrong = h("div");
  const refused = h("p", { class: "wrong", role: "alert" });
  const body = h("div", { class: "grid", hidden: true });
  main.append(h("div", { class: "title" }, h("h1", { tabindex: -1 }, "Simulation")), wrong, body);

  const errors = knob("error-rate", "Lines that are errors", { min: 0, max: 1, step: 0.01 }, percent);
  const odd = knob("anomaly-ratio", "Lines that are anomalies", { min: 0, max: 0.5, step: 0.005 }, percent);
  const speed = knob("sim-rate", "Lines a second", { min: 1, max: 1000, step: 1 }, rate);
  const apply = h("button", { type: "submit", class: "main", id: "apply" }, "Apply");
  const services = h("ul", { class: "switches" });

  const send = async (run, done) => {
    refused.textContent = "";
    try {
      const answer = await run();
      if (answer?.services) take(answer);
      toast(done);
    } catch (error) {
      refused.textContent = error.message;
      await load();
    }
  };

  function take(now) {
    errors.set(now.error_rate);
    odd.set(now.anomaly_ratio);
    speed.input.max = Math.max(1000, now.rate);
    speed.set(now.rate);
    services.replaceChildren(
      ...now.services.map((one) => {
        const box = h("input", { type: "checkbox", role: "switch", checked: one.on, disabled: !mayChange() });
        box.addEventListener("change", () =>
          send(() => change("PUT", "simulation", { services: [{ service: one.service, on: box.checked }] }), `${one.service} ${box.checked ? "writes" : "is silent"}.`),
        );
        const burst = h("button", { type: "button", class: "small", disabled: !mayChange(), "aria-label": `Error burst of ${one.service}` }, "Error burst");
        burst.addEventListener("click", () => send(() => change("POST", "simulation/burst", { service: one.service }), `A burst of errors of ${one.service} is on its way.`));
        return h("li", {}, h("label", {}, box, h("span", { class: "cut" }, plain(one.service))), burst);
      }),
    );
    for (const one of [apply, errors.input, odd.input, speed.input]) one.disabled = !mayChange();
    body.hidden = false;
  }

  const load = () => context.attempt(wrong, async () => take(await get("simulation", {}, context.signal)));
  const submit = (event) => {
    event.preventDefault();
    const wanted = { error_rate: Number(errors.input.value), anomaly_ratio: Number(odd.input.value), rate: Number(speed.input.value) };
    return send(() => change("PUT", "simulation", wanted), "Applied.");
  };
  body.append(
    h(
      "section",
      { class: "card" },
      h("div", { class: "card-head" }, h("h2", {}, "Stream")),
      h("form", { class: "controls", on: { submit } }, errors.row, odd.row, speed.row, h("p", { class: "soft small" }, "Over 30 % errors in a minute is an alert of its own."), h("div", {}, apply), operatorsOnly(), refused),
    ),
    h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, "Services")), services),
  );
  await load();
}
