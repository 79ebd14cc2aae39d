// Lost updates: the same clicks at once, through three ways to keep a list. Each adds an item of its own; then the list is
// read, and what is missing was lost. The browser sends its cookies, and no script helps.
import { $, text, attribute } from "./dom.js";
import { toast } from "./act.js";

const clicks = 20;

async function request(path, method) {
  const res = await fetch(`api/clicks/${path}`, { method });
  if (!res.ok) throw new Error(await res.text());
  return res;
}

async function run(list) {
  await request(`${list}/`, "DELETE");
  await Promise.all(Array.from({ length: clicks }, (_, i) => request(`${list}/${i}`, "POST")));
  const kept = await (await request(`${list}/`, "GET")).json();
  return clicks - new Set(kept).size;
}

$("clicks").addEventListener("click", async ({ currentTarget: button }) => {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    for (const list of ["cookie", "scs", "waybill"]) {
      const lost = await run(list), at = $(`clicks-${list}`);
      text(at, `${lost} of ${clicks}`);
      attribute(at, "data-lost", lost);
    }
  } catch (err) {
    toast(err.message);
  }
  button.removeAttribute("aria-busy");
});
