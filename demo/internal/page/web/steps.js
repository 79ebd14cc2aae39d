// One step of the journey, and the hops that it took.
import { el, text, attribute, count, millis, seconds, short } from "./dom.js";
import { openTrace } from "./trace.js";

let chosen = null; // the number of the step that the visitor opened or closed; the newest is open otherwise
let open = true;

export function choose(number, isOpen = true) {
  chosen = number;
  open = isOpen;
}

export function makeStep(s) {
  const head = el("button", { class: "head", "aria-expanded": "false" },
    el("span", { class: "number num" }), el("b", {}), el("span", { class: "what" }), el("span", { class: "took num" }));
  head.addEventListener("click", () => choose(s.number, head.getAttribute("aria-expanded") !== "true"));
  const trace = el("button", { class: "small trace" }, "Trace");
  const body = el("div", { class: "body" });
  return el("li", { class: "step" }, el("div", { class: "line" }, head, trace), body);
}

export function drawStep(node, s, newest, journey, keys) {
  const isOpen = chosen === null || (newest && chosen < s.number) ? newest : chosen === s.number && open;
  const [line, body] = node.children;
  const [head, trace] = line.children;
  const [number, name, what, took] = head.children;
  text(number, s.number);
  text(name, s.name);
  text(what, s.text);
  text(took, s.retries ? `${millis(s.millis)}, ${s.retries} ${s.retries === 1 ? "retry" : "retries"}` : millis(s.millis));
  attribute(node, "data-ok", s.ok);
  attribute(head, "aria-expanded", isOpen);
  body.hidden = !isOpen;
  trace.hidden = !s.trace;
  trace.onclick = () => openTrace(`${s.number}. ${s.name}`, s.trace);
  attribute(trace, "aria-label", `Trace of step ${s.number}, ${s.name}`);
  if (isOpen) drawHops(body, s, journey.life);
}

const heads = ["Replica", "Via", "Token", "Key", "Life left", "Opened in"];

function drawHops(body, s, life) {
  const now = JSON.stringify(s.hops);
  if (body.dataset.hops === now) return;
  body.dataset.hops = now;
  body.replaceChildren(el("table", {},
    el("caption", { class: "hidden" }, `Hops of ${s.name}`),
    el("thead", {}, el("tr", {}, ...heads.map((h) => el("th", { scope: "col" }, h)))),
    ...(s.hops ?? []).map((h) => hopRows(h, s, life))));
}

function hopRows(h, s, life) {
  const looked = h.bytes > 0;
  const open = el("button", { class: "link", "aria-label": `${h.replica} in the trace` }, h.replica);
  open.addEventListener("click", () => openTrace(`${s.number}. ${s.name}`, s.trace, h.span));
  const left = el("td", { class: "num" }, looked ? seconds(h.left) : "–");
  if (looked && life) left.style.setProperty("--left", Math.min(1, Math.max(0, h.left / life)));
  const cells = el("tr", {},
    el("th", { scope: "row" }, s.trace ? open : h.replica),
    el("td", {}, h.via),
    el("td", { class: "num" }, looked ? `${count(h.bytes)} B` : "unread"),
    el("td", { class: "mono" }, looked ? short(h.kid) : "–"),
    left,
    el("td", { class: "num" }, h.verify ? `${h.verify.toFixed(1)} µs` : "–"));
  const changed = h.changed ?? [];
  const what = el("tr", { class: "changed" }, el("td", { colspan: heads.length }, ...changed.map((c) => el("span", {}, c))));
  return changed.length ? el("tbody", {}, cells, what) : el("tbody", {}, cells);
}
