// The page draws snapshots: each module takes the part that is its own.
import { $, text, clock } from "./dom.js";
import { post, wire } from "./act.js";
import { connect } from "./stream.js";
import * as verdict from "./verdict.js";
import * as fleet from "./fleet.js";
import * as booking from "./booking.js";
import * as journey from "./journey.js";
import * as charts from "./charts.js";
import * as keys from "./keys.js";
import * as log from "./log.js";
import "./tabs.js";
import "./clicks.js";

wire(document);
$("revoke-active").addEventListener("click", () => keys.revokeActive(post));

function draw(s) {
  text($("uptime"), clock(s.uptime));
  text($("size"), `${(s.fleet.replicas ?? []).length} processes`);
  verdict.draw(s.verdict ?? [], s.show);
  fleet.draw(s.fleet, s.keys ?? []);
  journey.draw(booking.of(s), s.keys ?? []);
  charts.draw(s.charts);
  keys.draw(s.keys ?? []);
  log.draw(s.log ?? []);
}

connect(draw);
