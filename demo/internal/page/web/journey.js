// The visitor's own journey: what to do next, what the waybill says now, and the way that each step went.
import { $, el, text, hide, attribute, keyed, count, seconds } from "./dom.js";
import { press } from "./act.js";
import { drawStep, makeStep, choose } from "./steps.js";

let asked; // the offers as last drawn
let journeyID;
const results = {}; // kind → as last seen

export function draw(j, keys) {
  if (j.id !== journeyID) {
    journeyID = j.id;
    choose(null);
  }
  text($("journey-id"), j.id ? `${j.id.slice(0, 8)}…` : "not begun");
  hide($("journey-new"), !j.id);
  drawRail(j);
  drawOffers(j);
  drawHeld(j);
  hide($("intro"), (j.steps ?? []).length > 0);
  const steps = [...(j.steps ?? [])].reverse();
  keyed($("steps"), steps, (s) => `${j.id} ${s.number}`, makeStep, (node, s) => drawStep(node, s, s === steps[0], j, keys));
  for (const kind of ["tamper", "replay", "abroad"]) {
    attribute($(kind), "aria-disabled", !j.token);
    drawResult(kind, j[kind]);
  }
}

// The steps of the booking, what each asks for, and the claim that it fills.
const booking = [
  { step: "search", label: "Search", claim: "to",
    asks: [["to", "Where to", ["AMS", "LIS", "OSL", "NYC", "YVR"]], ["cell", "Priced in", ["eu", "us"]]] },
  { step: "flight", label: "Add flight", claim: "flight", asks: [["flight", "Flight"]] },
  { step: "hotel", label: "Add hotel", claim: "hotel",
    asks: [["hotel", "Hotel", ["Canal", "Grand", "Plaza"]], ["card", "Card", ["visa", "amex", "giro"]]] },
  { step: "currency", label: "Change currency", claim: "currency", asks: [["currency", "Currency", ["USD", "GBP", "EUR"]]] },
  { step: "pay", label: "Pay", claim: "paid", asks: [] },
  { step: "ticket", label: "Get ticket", claim: "ticket", asks: [] },
];

function drawRail(j) {
  const done = new Set((j.steps ?? []).filter((s) => s.ok).map((s) => s.name));
  const next = booking[nextOf(j)]?.step;
  keyed($("rail"), booking, (b) => b.step, (b) => el("li", {}, b.step), (node, b) =>
    attribute(node, "data-state", done.has(b.step) ? "done" : b.step === next ? "next" : "open"));
}

// nextOf returns the index of the step that comes next.
const nextOf = (j) => booking.findLastIndex((b) => b.claim in (j.claims ?? {})) + 1;

// offersOf returns the steps that make sense now: the next one first, and then those that can be done again.
function offersOf(j) {
  const next = nextOf(j);
  const again = (b) => ({ ...b, label: `${b.label} again` });
  return [...booking.slice(next, next + 1), ...(j.paid > 0 ? [again(booking[4])] : booking.slice(0, next).map(again))];
}

function drawOffers(j) {
  const offers = offersOf(j), flights = j.flights ?? [];
  const now = JSON.stringify([offers, flights]);
  if (now === asked) return;
  asked = now;
  const focused = document.activeElement?.id;
  const row = (some, from) => some.map((offer, i) => el("div", { class: "offer" }, ...fields(offer, from + i, flights)));
  const again = offers.filter((o, i) => i > 0 && o.asks.length > 0); // what asks for something is out of the way
  $("ask").replaceChildren(...row(offers.filter((o) => !again.includes(o)), 0));
  if (again.length) $("ask").append(el("details", {}, el("summary", {}, "Change your mind"), ...row(again, 1)));
  if (focused?.startsWith("step-")) $("ask").querySelector("button")?.focus();
}

function fields(offer, i, flights) {
  const selects = offer.asks.map(([name, label, options = flights]) =>
    el("label", {}, el("span", {}, label),
      el("select", { name }, ...options.map((o) => el("option", { value: o }, o)))));
  const button = el("button", { id: `step-${offer.step}`, class: i === 0 ? "primary" : "" }, offer.label);
  button.addEventListener("click", () => {
    const query = new URLSearchParams(selects.map((label) => {
      const select = label.querySelector("select");
      return [select.name, select.value];
    }));
    press(button, `journey/${offer.step}?${query}`);
  });
  return [...selects, button];
}

// What the visitor holds: the claims, the token itself, and how long it is good.
const quiet = new Set(["stamps", "step"]);

function drawHeld(j) {
  const claims = Object.entries(j.claims ?? {}).filter(([name]) => !quiet.has(name));
  keyed($("claims"), claims, ([name]) => name,
    ([name]) => el("li", { id: `claim-${name}` }, el("span", {}, name), el("b", {})),
    (node, [, value]) => text(node.lastElementChild, value));
  drawToken(j.token ?? "");
  const life = $("life");
  hide(life.parentElement, !j.token);
  life.max = j.life || 1;
  life.value = Math.max(0, j.left);
  text($("life-text"), `${count((j.token ?? "").length)} bytes, good for ${seconds(Math.max(0, Math.round(j.left)))}`);
  const size = (j.token ?? "").length;
  $("limit-size").value = size;
  if (size) text($("limit-size-text"), `Yours: ${count(size)} of 2,048 bytes.`);
  if (j.life) text($("limit-life"), `${Math.round(j.life / 60)} minutes`);
}

// A compact JWS has three parts. The middle is shown shortened: its claims stand above.
function drawToken(token) {
  const at = $("token");
  if (at.dataset.token === token) return;
  at.dataset.token = token;
  const [header = "", payload = "", signature = ""] = token.split(".");
  at.replaceChildren(...(token === "" ? ["Nothing yet. Your first step starts a journey."] : [
    el("span", { class: "part-header", title: "Header: algorithm and key" }, header), ".",
    el("span", { class: "part-payload", title: "Payload: the claims" }, payload), ".",
    el("span", { class: "part-signature", title: "Signature" }, signature)]));
}

// drawResult shows what came of the latest attempt, and beside its twin on the page of limits.
function drawResult(kind, result) {
  const now = JSON.stringify(result ?? null);
  if (results[kind] === now) return;
  const first = !(kind in results);
  results[kind] = now;
  const at = $("result");
  if (!result) {
    if (at.dataset.kind === kind) at.replaceChildren();
    return;
  }
  const words = () => [el("b", {}, `${result.verdict}. `), result.text];
  for (const twin of document.querySelectorAll(`[data-of="${kind}"]`)) twin.replaceChildren(...words());
  if (first && at.dataset.kind) return;
  attribute(at, "data-kind", kind);
  attribute(at, "data-ok", result.asPromised);
  at.replaceChildren(...words());
}
