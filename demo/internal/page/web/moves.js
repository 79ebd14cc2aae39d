// Requests on their way. Each pair of processes between which something moved has a line; a sample of the requests runs
// along it as dots. They are few, and each goes when it has arrived.
import { $, svg, attribute } from "./dom.js";

const most = 90; // dots at a time
const spread = 200; // ms between two snapshots, over which their moves are spread
const still = matchMedia("(prefers-reduced-motion: reduce)");

let newest = 0; // id of the newest move drawn
let seen = false; // the lines have room: not on a small screen, not behind the other tab
let places = new Map(); // name → box, relative to the stage
const lines = new Map(); // "from>to" → line

// forget measures again: cards have come or gone, or the window has another size.
export function forget() {
  places = new Map();
  seen = $("edges").getClientRects().length > 0;
  lines.clear();
  $("lines").replaceChildren();
  dots = [];
  const scale = devicePixelRatio, { clientWidth, clientHeight } = $("stage");
  canvas.width = clientWidth * scale;
  canvas.height = clientHeight * scale;
  paint.scale(scale, scale);
}

export function draw(moves) {
  const fresh = moves.filter((m) => m.id > newest || m.id < newest - 1e6);
  for (const line of lines.values()) attribute(line, "class", "");
  if (fresh.length) newest = fresh.at(-1).id;
  if (!seen) return;
  for (const [i, m] of fresh.entries()) {
    const path = between(m.from || "world", m.to || "world");
    if (!path) continue;
    attribute(path, "class", m.visitor ? "visitor" : "busy");
    if (!still.matches && !document.hidden) run(path, m, (i * spread) / fresh.length);
  }
  attribute(canvas, "data-count", dots.length);
}

// The dots are painted on a canvas: elements that move by themselves, ninety at a time, cost several times as much.
const canvas = $("dots");
const paint = canvas.getContext("2d");
const flight = 620; // ms on the way
let dots = []; // each with its line, its start and its look
let frame = 0;

function run(line, m, delay) {
  if (dots.length >= most && !m.visitor) return;
  dots.push({ points: line.points, start: performance.now() + delay, look: m.failed ? "failed" : m.visitor ? "visitor" : "other" });
  frame ||= requestAnimationFrame(step);
}

function step(now) {
  paint.clearRect(0, 0, canvas.width, canvas.height);
  dots = dots.filter((d) => now - d.start < flight);
  for (const d of dots) if (now >= d.start) paintDot(d, (now - d.start) / flight);
  frame = dots.length && seen ? requestAnimationFrame(step) : 0;
}

function paintDot(d, t) {
  const at = t * t * (3 - 2 * t) * stops, i = Math.min(stops - 1, Math.floor(at)), part = at - i;
  const [x1, y1] = d.points[i], [x2, y2] = d.points[i + 1];
  paint.fillStyle = colours[d.look];
  paint.beginPath();
  paint.arc(x1 + (x2 - x1) * part, y1 + (y2 - y1) * part, d.look === "visitor" ? 4.5 : 2.5, 0, 2 * Math.PI);
  paint.fill();
}

const stops = 16; // of a dot on its curve

function measure(line) {
  const length = line.getTotalLength();
  return Array.from({ length: stops + 1 }, (_, i) => {
    const { x, y } = line.getPointAtLength((length * i) / stops);
    return [x, y];
  });
}

let colours;

function dye() {
  const of = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  colours = { other: of("--soft"), visitor: of("--accent"), failed: of("--hurt") };
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dye);
dye();

// between returns the line from one place to another, and draws it if it is new.
function between(from, to) {
  const name = `${from}>${to}`;
  if (lines.has(name)) return lines.get(name);
  const a = place(from), b = place(to);
  if (!a || !b) return null;
  const line = svg("path", { d: curve(a, b) });
  $("lines").append(line);
  line.points = measure(line);
  lines.set(name, line);
  return line;
}

function place(name) {
  if (!places.has(name)) {
    const node = $(name === "world" || name === "nats" ? name : `replica-${name}`);
    if (!node) return null;
    const box = node.getBoundingClientRect(), stage = $("stage").getBoundingClientRect();
    places.set(name, { left: box.left - stage.left, right: box.right - stage.left, top: box.top - stage.top, bottom: box.bottom - stage.top, bar: name === "nats", row: Boolean(node.closest(".baselines")) });
  }
  return places.get(name);
}

// curve leaves a card at the side that faces the other one, or at the top if both stand in one row. The broker is a bar:
// lines meet it at their own height.
function curve(a, b) {
  if (a.row && b.row) {
    const center = (box) => (box.left + box.right) / 2, y = a.top;
    return `M${center(a)} ${y} C${center(a)} ${y - 13} ${center(b)} ${y - 13} ${center(b)} ${y}`;
  }
  const [x1, x2] = a.right <= b.left ? [a.right, b.left] : b.right <= a.left ? [a.left, b.right] : [a.right, b.right];
  const middle = (box) => (box.top + box.bottom) / 2;
  const y1 = a.bar ? middle(b) : middle(a), y2 = b.bar ? middle(a) : middle(b);
  const bend = (x2 - x1) / 2 || 24;
  return `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

new ResizeObserver(forget).observe($("stage"));
