// What all modules use to build and to update, as little as can be.

export const $ = (id) => document.getElementById(id);

// el makes an element. Properties are set as they are; "class", "data-…" and "aria-…" are attributes.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) attribute(node, name, value);
  node.append(...children);
  return node;
}

const svgSpace = "http://www.w3.org/2000/svg";

export function svg(tag, props = {}) {
  const node = document.createElementNS(svgSpace, tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  return node;
}

// attribute sets what differs, and nothing else: the page is drawn five times a second.
export function attribute(node, name, value) {
  const want = String(value);
  if (node.getAttribute(name) !== want) node.setAttribute(name, want);
}

export function text(node, value) {
  const want = String(value), only = node.firstChild;
  if (only?.nodeType !== Node.TEXT_NODE || only !== node.lastChild) node.textContent = want;
  else if (only.data !== want) only.data = want;
}

export function hide(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

// keyed makes the children of parent follow items: each item keeps its node for as long as it is there.
export function keyed(parent, items, key, make, update) {
  const nodes = (parent.nodesByKey ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [k, node] of nodes) {
    if (wanted.has(k)) continue;
    node.remove();
    nodes.delete(k);
  }
  let at = parent.firstElementChild;
  for (const item of items) {
    const k = key(item);
    let node = nodes.get(k);
    if (!node) nodes.set(k, (node = make(item)));
    update(node, item);
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (n) => whole.format(n ?? 0);

export const seconds = (s) => (s >= 10 || s === 0 ? `${Math.round(s)} s` : `${s.toFixed(1)} s`);

export const millis = (ms) => (ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`);


export const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

// short is enough of a key id or a journey id to tell it from its neighbours.
export const short = (id) => (id ?? "").slice(0, 6);
