// Three small charts on one axis of time, with a mark for each event.
import { $, el, svg, text, attribute, keyed, count } from "./dom.js";

const span = 180; // seconds
const height = 100;

const specs = [
  { id: "rate", title: "Requests/s", lines: [{ of: "rate", name: "", cls: "own" }], show: (v) => count(v), floor: 10 },
  { id: "latency", title: "Latency, ms", lines: [{ of: "p99", name: "p99", cls: "second" }, { of: "p50", name: "p50", cls: "own" }], show: (v) => (v < 10 ? v.toFixed(1) : count(v)), floor: 20 },
  { id: "lost", title: "Lost", lines: [{ of: "stickyLost", name: "sticky", cls: "hurt" }, { of: "lost", name: "waybill", cls: "own" }], show: (v) => count(v), floor: 5 },
];

const charts = specs.map(build);
$("charts").append(...charts.map((c) => c.root));

function build(spec) {
  const plot = svg("svg", { viewBox: `0 0 ${span} ${height}`, preserveAspectRatio: "none", role: "img" });
  const marks = svg("g", { class: "marks" });
  const paths = spec.lines.map((l) => svg("path", { class: l.cls }));
  plot.append(svg("path", { class: "grid", d: `M0 0.5H${span}M0 50H${span}M0 99.5H${span}` }), marks, ...paths);
  const values = spec.lines.map((l) => el("span", { class: `value num ${l.cls}` }));
  const top = el("span", { class: "ceiling num", "aria-hidden": "true" });
  const root = el("figure", { class: "chart", id: `chart-${spec.id}` },
    el("figcaption", {}, el("h3", {}, spec.title), ...values), el("div", { class: "plot" }, plot, top));
  return { spec, root, plot, marks, paths, values, top };
}

let drawn; // the time of the newest point drawn: a new one comes once a second

export function draw(data) {
  const points = data?.points ?? [];
  const last = points.at(-1);
  if (!last || last.at === drawn) return;
  drawn = last.at;
  for (const c of charts) drawChart(c, points, data.marks ?? [], last);
}

function drawChart(c, points, marks, last) {
  const highest = Math.max(...points.flatMap((p) => c.spec.lines.map((l) => p[l.of])));
  const top = nice(Math.max(highest, c.spec.floor));
  const x = (at) => (span - (last.at - at)).toFixed(1);
  const y = (v) => (height - (v / top) * height).toFixed(1);
  for (const [i, l] of c.spec.lines.entries()) {
    c.paths[i].setAttribute("d", "M" + points.map((p) => `${x(p.at)} ${y(p[l.of])}`).join("L"));
    text(c.values[i], `${l.name} ${c.spec.show(last[l.of])}`.trim());
  }
  text(c.top, c.spec.show(top));
  attribute(c.plot, "aria-label", `${c.spec.title}: ${c.values.map((v) => v.textContent).join(", ")}`);
  keyed(c.marks, marks.filter((m) => last.at - m.at < span), (m) => `${m.at} ${m.label}`, makeMark, (node, m) =>
    node.setAttribute("transform", `translate(${x(m.at)} 0)`));
}

function makeMark(m) {
  const node = svg("g", { class: "mark", "data-kind": m.kind });
  const title = svg("title");
  title.textContent = m.label;
  node.append(title, svg("path", { d: `M0 0V${height}` }));
  return node;
}

// nice returns the next round number: 1, 2 or 5 times a power of ten.
function nice(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 5, 10].map((f) => f * power).find((n) => n >= v);
}
