// The key ring as a strip: pending, active, retired, with the time until each changes.
import { $, el, text, attribute, keyed, count, short, clock } from "./dom.js";
import { press } from "./act.js";

const room = 6; // chips; older keys are counted
const until = { pending: "issues in", active: "retires in", retired: "gone in", revoked: "opens nothing" };
let active;

export function draw(keys) {
  active = keys.find((k) => k.state === "active");
  keyed($("keys"), keys.slice(0, room).reverse(), (k) => k.kid, make, update);
  const older = keys.length - room;
  text($("keys-note"), older > 0
    ? `Each key opens before it issues, and goes on opening after. ${older} older still ${older === 1 ? "opens" : "open"}.`
    : "Each key opens before it issues, and goes on opening after.");
}

function make(k) {
  const revoke = el("button", { class: "small", "aria-label": `Revoke key ${short(k.kid)}` }, "Revoke");
  revoke.addEventListener("click", () => press(revoke, `revoke/${encodeURIComponent(k.kid)}`));
  return el("li", { class: "key", id: `key-${k.kid}`, title: k.by ? `Proposed by ${k.by}` : "The first key" },
    el("p", {}, el("b", { class: "mono" }, short(k.kid)), el("span", { class: "state" })),
    el("p", { class: "when num" }), el("progress", { "aria-hidden": "true" }),
    el("p", { class: "opened num" }, el("span", {}), revoke));
}

function update(node, k) {
  attribute(node, "data-state", k.state);
  const [head, when, bar, foot] = node.children;
  text(head.lastElementChild, k.state);
  text(when, k.state === "revoked" ? until.revoked : `${until[k.state]} ${clock(Math.max(0, k.in))}`);
  bar.max = k.of || 1;
  bar.value = k.of ? Math.max(0, k.of - k.in) : 0;
  text(foot.firstElementChild, `opened ${count(k.opened)}`);
  foot.lastElementChild.hidden = k.state === "revoked";
}

export function revokeActive(post) {
  if (active) post(`revoke/${encodeURIComponent(active.kid)}`);
}
