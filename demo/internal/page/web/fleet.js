// The fleet: a card for each process, in the order in which a request meets them.
import { $, el, text, attribute, keyed, count } from "./dom.js";
import { press } from "./act.js";
import * as moves from "./moves.js";

const columns = [["lb"], ["gateway"], ["cart", "payment"], ["nats"], ["pricing", "fulfil"]];
const titles = { lb: "balancer", nats: "NATS" };
const known = new Set(columns.flat());
const laneTitles = { sticky: "Sticky sessions", store: "Central store" };

let ring = []; // the keys to show, the oldest first
const layout = {}; // part of the stage → who is there, as text: it changes seldom

export function draw(fleet, keys) {
  ring = keys.slice(0, 6).reverse();
  const replicas = fleet.replicas ?? [];
  const own = replicas.filter((r) => r.lane === "waybill");
  const others = replicas.filter((r) => r.lane !== "waybill");
  const moved = [arrange("columns", own, columnsOf), arrange("baselines", others, rowsOf)].includes(true);
  for (const group of document.querySelectorAll("#stage .group")) {
    const members = replicas.filter((r) => group.dataset.members.split(" ").includes(r.name));
    keyed(group.lastElementChild, members, (r) => r.name, make, update);
  }
  attribute($("nats") ?? $("columns"), "data-paused", Boolean(fleet.paused));
  if (moved) moves.forget();
  moves.draw(fleet.moves ?? []);
}

// arrange builds a part of the stage anew if others are there than before, and reports whether it did.
function arrange(part, replicas, build) {
  const now = replicas.map((r) => r.name).join();
  if (layout[part] === now) return false;
  layout[part] = now;
  $(part).replaceChildren(...build(replicas));
  return true;
}

function columnsOf(own) {
  const strangers = [...new Set(own.map((r) => r.role))].filter((role) => !known.has(role));
  const all = [...columns.slice(0, -1), [...columns.at(-1), ...strangers]];
  return [
    el("div", { class: "column world", id: "world" }, el("span", {}, "travellers")),
    ...all.map((roles) => el("div", { class: "column" }, ...roles.map((role) =>
      role === "nats" ? broker() : group(titles[role] ?? role, own.filter((r) => r.role === role))))),
  ];
}

function rowsOf(others) {
  const lanes = [...new Set(others.map((r) => r.lane))];
  return lanes.map((lane) => group(laneTitles[lane] ?? lane, others.filter((r) => r.lane === lane)));
}

const broker = () => el("div", { class: "broker", id: "nats" }, el("span", {}, titles.nats));

const group = (title, members) =>
  el("div", { class: "group", "data-members": members.map((r) => r.name).join(" ") }, el("h3", {}, title), el("div", { class: "members" }));

// idOf is what a card says of a container, whose name is long; its role is above it already.
const idOf = (r) => r.name.match(/-([0-9a-f]{8})$/)?.[1];

function make(r) {
  const id = idOf(r);
  const card = el("button", { class: id ? "replica contained" : "replica", id: `replica-${r.name}`, ...(id && { title: r.name }) },
    el("span", { class: "name" }, id ?? r.name), el("span", { class: "act", "aria-hidden": "true" }),
    el("span", { class: "pid num" }), el("span", { class: "rate num" }), el("span", { class: "dots", "aria-hidden": "true" }));
  card.addEventListener("click", () =>
    press(card, `${card.dataset.state === "down" ? "restart" : "kill"}/${encodeURIComponent(r.name)}`));
  return card;
}

function update(card, r) {
  const [, act, pid, rate, dots] = card.children;
  if (card.dataset.state !== r.state || card.dataset.pid !== String(r.pid)) {
    card.dataset.state = r.state;
    card.dataset.pid = r.pid;
    const verb = { up: "Kill", down: "Restart", starting: "Starting" }[r.state];
    text(act, r.state === "starting" ? "" : verb.toLowerCase()); // there is nothing to press
    attribute(card, "aria-label", `${verb} ${r.name}: ${r.pid ? `process ${r.pid}` : "a container"}, ${r.state}`);
    text(pid, r.pid ? `pid ${r.pid}` : "");
  }
  text(rate, r.state === "up" ? `${count(r.rate)}/s` : r.state);
  drawDots(dots, new Set(r.state === "up" ? r.keys ?? [] : []));
}

function drawDots(dots, held) {
  const states = held.size === 0 ? "" : ring.map((k) => (held.has(k.kid) ? k.state : "missing")).join();
  if (dots.dataset.states === states) return;
  dots.dataset.states = states;
  dots.replaceChildren(...states.split(",").filter(Boolean).map((state) => el("i", { "data-state": state })));
}
