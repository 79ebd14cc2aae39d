// Uses the module in Node.js against the site in SITE, and prints the outcome as JSON.
import { waybill } from "../../../../clients/waybill.mjs";

const origin = process.env.SITE;
const shop = waybill({ origin, parallel: 4 });
const ok = (answer) => answer.ok;
const claims = async () => (await shop.fetch("/claims")).json();
const outcome = {};

// Parallel changes, the first of the journey among them.
const sent = Array.from({ length: 40 }, (_, n) => shop.fetch(`/change?n=${n}&ms=${n % 7}`, { method: "POST" }));
outcome.acknowledged = (await Promise.all(sent)).filter(ok).length;
outcome.claims = (await claims()).length;

// A change behind a redirect.
const redirected = await shop.fetch(new Request(`${origin}/go?n=77`, { method: "POST" }));
outcome.redirected = redirected.redirected && (await claims()).includes(77);

// A request that is aborted while it waits is not sent.
const controller = new AbortController();
const crowd = Array.from({ length: 4 }, () => shop.fetch("/change?n=1&ms=50", { method: "POST" }));
const waits = shop.fetch("/change?n=99&ms=0", { method: "POST", signal: controller.signal });
controller.abort(new Error("changed my mind"));
outcome.aborted = await waits.then(() => "", (error) => error.message);
await Promise.all(crowd);
outcome.unsent = !(await claims()).includes(99);

// A redirect to another origin is an error, because fetch would repeat the tokens there.
outcome.left = await shop.fetch("/away").then(ok, () => "refused");

// Other origins get no token.
outcome.foreign = await (await shop.fetch(process.env.OTHER)).text();
console.log(JSON.stringify(outcome));
