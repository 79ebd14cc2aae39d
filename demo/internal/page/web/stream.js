// The one stream: snapshots come as server-sent events. A stream that breaks, or falls silent, is said to be so and opened
// again; the next snapshot is whole, so there is nothing to catch up on.
import { $, text } from "./dom.js";

const silence = 3000; // ms without a snapshot

export function connect(draw) {
  let source, watchdog;
  const open = () => {
    source?.close();
    source = new EventSource("api/stream");
    source.onmessage = (event) => {
      rest(silence);
      show("live", "Live");
      draw(JSON.parse(event.data));
    };
    source.onerror = () => {
      show("lost", "Connection lost, trying again");
      if (source.readyState === EventSource.CLOSED) rest(1000); // the browser tries again by itself in all other cases
    };
    rest(silence);
  };
  const rest = (ms) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => {
      show("lost", "No answer, trying again. Is the demo running, or open in more than five windows?");
      open();
    }, ms);
  };
  const close = () => {
    source?.close();
    clearTimeout(watchdog);
  };
  // A browser has six connections for a server, all tabs together. So only tabs that somebody sees hold one.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  open();
}

function show(state, words) {
  const at = $("connection");
  if (at.dataset.state !== state) {
    at.dataset.state = document.documentElement.dataset.connection = state;
    if (state === "lost") text($("announce"), words);
  }
  text(at, words);
}
