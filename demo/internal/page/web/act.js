// What the buttons do: one POST each. What it comes to is in the next snapshots; only a refusal is shown at once.
import { $, text } from "./dom.js";
import * as booking from "./booking.js";

let timer;

const own = /^(journey|tamper|replay|abroad)\b/; // go with the visitor's waybill

export async function post(path) {
  try {
    const res = await (own.test(path) ? booking.send : fetch)(`api/${path}`, { method: "POST" });
    if (!res.ok) toast(await res.text());
  } catch {
    toast("The demo does not answer.");
  }
}

export function toast(words) {
  text($("toast"), words.trim());
  $("toast").hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => ($("toast").hidden = true), 6000);
}

// wire makes the buttons in root that name a control call it. One press is one call: the button waits for the answer.
export function wire(root) {
  for (const button of root.querySelectorAll("button[data-post]")) {
    button.addEventListener("click", () => press(button, button.dataset.post));
  }
}

export async function press(button, path) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  await post(path);
  button.removeAttribute("aria-busy");
}
