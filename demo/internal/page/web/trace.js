// The waterfall of one trace, in a dialog.
import { $, el, text, millis } from "./dom.js";
import { toast } from "./act.js";

const dialog = $("trace");
let shown;

export async function openTrace(title, id, span) {
  const res = await fetch(`api/trace/${encodeURIComponent(id)}`).catch(() => null);
  if (!res?.ok) return toast(res ? await res.text() : "The demo does not answer.");
  draw(await res.json(), span);
  shown = id;
  text($("trace-title"), title);
  dialog.showModal();
  $("spans").querySelector(".here")?.scrollIntoView({ block: "nearest" });
}

function draw(spans, here) {
  const whole = Math.max(...spans.map((s) => s.start + s.millis), 0.001);
  const depth = new Map();
  const services = [...new Set(spans.map((s) => role(s.service)))];
  for (const s of spans) depth.set(s.id, (depth.get(s.parent) ?? -1) + 1);
  const head = el("div", { class: "span scale", role: "row" },
    el("span", { role: "columnheader" }, "Service"), el("span", { role: "columnheader", class: "num" }, `0 – ${millis(whole)}`), el("span", { role: "columnheader", class: "took" }, "Took"));
  $("spans").replaceChildren(head, ...spans.map((s) => row(s, depth.get(s.id), whole, services.indexOf(role(s.service)), s.id === here)));
}

const role = (service) => service.replace(/-[^-]*$/, "");

function row(s, depth, whole, hue, here) {
  const bar = el("i", { "data-hue": hue % 6 });
  bar.style.left = `${(100 * s.start) / whole}%`;
  bar.style.width = `${Math.max(0.3, (100 * s.millis) / whole)}%`;
  const label = el("span", { class: "who", role: "cell" }, el("b", {}, s.service), ` ${s.name}`);
  label.style.paddingInlineStart = `${depth * 12}px`;
  const attrs = Object.entries(s.attrs ?? {}).map(([k, v]) => el("span", { class: "attr" }, `${k.replace("waybill.", "")} ${v}`));
  return el("div", { class: `span${here ? " here" : ""}${s.failed ? " failed" : ""}`, role: "row" },
    label, el("span", { class: "track", role: "cell" }, bar, ...attrs), el("span", { class: "took num", role: "cell" }, millis(s.millis)));
}

$("trace-close").addEventListener("click", () => dialog.close());
$("trace-copy").addEventListener("click", () =>
  navigator.clipboard.writeText(shown).then(() => toast("Copied."), () => toast(shown)));
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
