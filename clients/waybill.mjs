// A client of a Waybill edge for scripts in browsers and Node.js: one file to copy, no build step.
//
//     import { waybill } from "./waybill.mjs";
//     const shop = waybill({ origin: "https://shop.example" });
//     const answer = await shop.fetch("/cart", { method: "POST", body });
//
// The client sends every token that it holds; the token of an answer replaces the tokens that its
// request carried; an empty one removes them. Tokens are kept in memory only. So each client is its
// own journey, a reload begins a new one, and no other tab sees it. Never store tokens or answers,
// and never give the tokens of one client to another: that loses changes. A journey that tabs share
// is held in cookies, by an edge with Cookies(); { cookies: true } then limits the requests in
// flight, and does nothing else.
//
// An edge on another origin than the page must allow the request header Waybill and expose the
// response header Waybill-Update by CORS, and must not redirect to an origin that it does not trust:
// fetch repeats the header there. On the page's own origin such a redirect fails.

/**
 * @typedef {object} Options
 * @property {string} origin the edge's origin; requests to other origins go out as they are
 * @property {number} [parallel] the most requests in flight, 8 by default; others wait their turn
 * @property {boolean} [cookies] the edge uses cookies: hold no tokens, send credentials
 */

/**
 * waybill returns a client of one edge, which holds one journey.
 *
 * @param {Options} options
 * @returns {{ fetch: (input: RequestInfo | URL, init?: RequestInit) => Promise<Response> }}
 *   fetch is used as the global one. A relative URL is resolved against the page if the page is of
 *   the edge's origin, else against that origin.
 */
export function waybill({ origin, parallel = 8, cookies = false }) {
  if (!/^https?:\/\//.test(origin)) throw new TypeError('waybill: origin must be the edge\'s, such as "https://shop.example"');
  if (!(parallel >= 1)) throw new RangeError("waybill: parallel must be at least 1");
  const home = new URL(origin).origin;
  const foreign = (globalThis.location?.origin ?? home) !== home;
  const base = foreign ? home : globalThis.document?.baseURI ?? globalThis.location?.href ?? home;
  /** @type {RequestInit} */
  const mode = foreign ? {} : { mode: "same-origin" }; // no redirect may take the tokens elsewhere
  /** @type {Set<string>} */
  const tokens = new Set();
  /** @type {(() => void)[]} */
  const waiting = [];
  let flying = 0;

  const next = () => {
    if (flying < parallel) waiting.shift()?.();
  };

  /**
   * turn waits until a request may start.
   *
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   */
  const turn = (signal) => new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const leave = () => {
      waiting.splice(waiting.indexOf(start), 1);
      reject(signal.reason);
    };
    const start = () => {
      signal.removeEventListener("abort", leave);
      flying++;
      resolve();
    };
    signal.addEventListener("abort", leave);
    waiting.push(start);
    next();
  });

  /**
   * replaced returns the token that replaces the ones that the request carried: "" for none, null
   * if they remain. The header of a redirect is hidden, so a redirect's token is in the URL of the
   * answer.
   *
   * @param {Response} response
   */
  const replaced = (response) => {
    const update = response.headers.get("Waybill-Update");
    if (update !== null || !response.redirected) return update;
    const url = new URL(response.url);
    const token = url.origin === home ? url.searchParams.get("waybill") : null;
    return token?.match(/^[\w-]+(\.[\w-]*){2,4}$/) ? token : null; // other values are the application's
  };

  /** @type {(input: RequestInfo | URL, init?: RequestInit) => Promise<Response>} */
  const send = async (input, init) => {
    const target = input instanceof Request ? input : new URL(input, base);
    if (new URL(target instanceof Request ? target.url : target).origin !== home) return fetch(target, init);
    const request = new Request(target, cookies ? { ...init, credentials: "include" } : { ...init, ...mode });
    await turn(request.signal);
    try {
      if (cookies) return await fetch(request);
      const sent = [...tokens];
      request.headers.set("Waybill", sent.join(", "));
      const response = await fetch(request);
      const token = replaced(response);
      if (token !== null) sent.forEach((t) => tokens.delete(t));
      if (token) tokens.add(token);
      return response;
    } finally {
      flying--;
      next();
    }
  };
  return { fetch: send };
}
