// The client of the visitor's booking. The browser holds the waybill: in cookies, which all its tabs share and no script
// sees, or in the memory of this script.
import { waybill } from "./waybill.mjs";
import { $, attribute, hide } from "./dom.js";

const { origin } = location;
const clients = { cookie: waybill({ origin, cookies: true }), header: waybill({ origin }) };
let carrier = "cookie";
let own = ""; // the journey that this script holds

// send takes a step, or makes an attempt, with what the browser holds. A look merges what two steps at once have left.
export async function send(path, init) {
  const by = carrier;
  const res = await clients[by].fetch(path, init);
  if (by === "header" && res.headers.has("Demo-Journey")) own = res.headers.get("Demo-Journey");
  if (res.headers.has("Demo-Apart")) await send("api/journey/look", { method: "POST" });
  return res;
}

const none = { id: "", token: "", claims: {}, left: 0, life: 0, steps: [], flights: [], paid: 0 };

// of returns the journey that this tab is on.
export function of(snapshot) {
  if (carrier === "cookie") return snapshot.journey;
  return (snapshot.scripts ?? []).find((j) => j.id === own && own) ?? none;
}

function choose(by) {
  carrier = by;
  for (const name of Object.keys(clients)) {
    attribute($(`by-${name}`), "aria-checked", name === by);
    $(`by-${name}`).tabIndex = name === by ? 0 : -1;
    hide($(`about-${name}`), name !== by);
  }
}

for (const [i, name] of Object.keys(clients).entries()) {
  $(`by-${name}`).addEventListener("click", () => choose(name));
  $(`by-${name}`).addEventListener("keydown", (event) => {
    if (!event.key.startsWith("Arrow")) return;
    const next = Object.keys(clients)[1 - i];
    choose(next);
    $(`by-${next}`).focus();
    event.preventDefault();
  });
}
choose(carrier);
