// The event log. A screen reader hears only what matters, and one thing at a time; the list itself is silent.
import { $, el, text, keyed, clock } from "./dom.js";

const spoken = new Set(["kill", "keys", "broker", "loss", "attack"]);
const gap = 4000; // ms between two announcements
let heard = -1;
let silentUntil = 0;

export function draw(events) {
  const log = $("log");
  const atEnd = log.scrollTop < 8;
  keyed(log, [...events].reverse(), (e) => e.id, make, () => {});
  if (atEnd) log.scrollTop = 0;
  announce(events);
}

function make(e) {
  return el("li", { "data-kind": e.kind }, el("time", { class: "num" }, clock(e.at)), el("span", {}, e.text));
}

function announce(events) {
  const last = events.findLast((e) => spoken.has(e.kind));
  if (!last || last.id <= heard || performance.now() < silentUntil) return;
  if (heard >= 0) text($("announce"), last.text);
  heard = last.id;
  silentUntil = performance.now() + gap;
}
