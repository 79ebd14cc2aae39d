// The verdict: one card for each lane, and what the show is at.
import { $, el, text, hide, attribute, keyed, count, seconds } from "./dom.js";
import { press } from "./act.js";

const lanes = {
  waybill: { title: "waybill", about: "The session travels with the request" },
  sticky: { title: "Sticky sessions", about: "In the memory of one server" },
  store: { title: "Central store", about: "In one place that all servers ask" },
};

export function draw(cards, show) {
  keyed($("cards"), cards, (c) => c.lane, make, update);
  const own = cards.find((c) => c.lane === "waybill");
  if (own) {
    const title = `${own.lost} lost · waybill`;
    if (document.title !== title) document.title = title;
  }
  drawShow(show);
}

function make(card) {
  const { title, about } = lanes[card.lane];
  const number = (name, cls) => el("output", { id: `${card.lane}-${name}`, class: cls });
  const stat = (name, label) => el("div", {}, el("dt", {}, label), el("dd", { id: `${card.lane}-${name}` }));
  const head = el("header", {}, el("h2", {}, title), el("p", {}, about));
  if (card.lane === "store") head.append(storeSwitch());
  return el("article", { class: "card", "data-lane": card.lane, "aria-label": title },
    head,
    el("p", { class: "big" }, number("lost", "lost"), el("span", {}, "sessions lost")),
    el("p", { class: "big" }, number("finished", "finished"), el("span", {}, "finished")),
    el("dl", {}, stat("live", "live"), stat("failed", "failed"), stat("retried", "retried"),
      stat("unavailable", "no answer")),
  );
}

function storeSwitch() {
  const button = el("button", { id: "store-switch", class: "switch", role: "switch", "aria-checked": "false", "aria-label": "Central store" });
  button.addEventListener("click", () =>
    press(button, button.getAttribute("aria-checked") === "true" ? "store/off" : "store/on"));
  return button;
}

function update(node, card) {
  const never = !card.on && card.finished + card.lost + card.live === 0;
  const set = (name, value) => text(node.querySelector(`#${card.lane}-${name}`), never ? "–" : value);
  attribute(node, "data-on", card.on);
  attribute(node, "data-hurt", card.lost > 0);
  set("lost", count(card.lost));
  set("finished", count(card.finished));
  set("live", count(card.live));
  set("failed", count(card.failed));
  set("retried", count(card.retried));
  set("unavailable", seconds(card.unavailable));
  if (card.lane === "store") attribute($("store-switch") ?? node.querySelector("#store-switch"), "aria-checked", card.on);
}

let shown; // the verdict's lines as last drawn

function drawShow(show) {
  hide($("scene"), !show);
  attribute($("show"), "aria-disabled", Boolean(show?.running));
  text($("show"), show?.running ? `Show: ${Math.ceil(show.length - show.elapsed)} s` : "60-second show");
  if (!show) return;
  text($("scene-text"), show.running ? show.scene : show.ok ? "The show is over: nothing is wrong." : "The show is over: something is wrong.");
  hide($("scene-progress"), !show.running);
  $("scene-progress").max = show.length;
  $("scene-progress").value = show.elapsed;
  const lines = show.running ? [] : show.verdict ?? [];
  hide($("scene-verdict"), lines.length === 0);
  const now = JSON.stringify(lines);
  if (now === shown) return;
  shown = now;
  $("outcome-lines").replaceChildren(...lines.map((l) =>
    el("div", { "data-ok": l.ok }, el("dt", {}, l.name), el("dd", {}, l.value))));
}

$("scene-verdict").addEventListener("click", () => $("outcome").showModal());
$("outcome-close").addEventListener("click", () => $("outcome").close());
