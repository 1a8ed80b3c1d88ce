// The daemon itself, and its last five minutes.

import { short } from "./blocking.js";
import { longest } from "./filter.js";
import { $, facts, say } from "./nodes.js";
import { measure } from "./words.js";

function quorumFacts(quorum) {
  const bad = Object.entries(quorum.etcd).filter(([, problem]) => problem).map(([endpoint, problem]) => `${endpoint}: ${problem}`);
  const since = quorum.since === null ? "" : ` since ${new Date(quorum.since * 1000).toLocaleString("en-GB")}`;
  return [
    ["leader by quorum", quorum.leader ? `${quorum.leader}${since}` : "none known"],
    ["lease left", quorum.lease_left === null ? "does not lead" : `${quorum.lease_left.toFixed(1)} s`],
    ["etcd", bad.join("; ") || Object.keys(quorum.etcd).join(", ")],
  ];
}

export function showDaemon(status) {
  const { daemon, resources, incubator } = status;
  const held = resources.reduce((sum, resource) => sum + resource.holders.length, 0);
  const waiting = resources.reduce((sum, resource) => sum + resource.waiters.length, 0);
  const blocked = resources.filter((resource) => resource.waiters.length).length;
  const longestOf = (kind) => {
    const all = resources.flatMap((resource) => resource[kind]);
    return all.length ? short(longest(all)) : "none";
  };
  say($("host"), daemon.host);
  document.title = `${waiting ? `(${waiting}) ` : ""}flom ${daemon.host}`;
  const grace = daemon.grace_left !== null ? `in grace for ${Math.ceil(daemon.grace_left)} s: only former holders are served` : "";
  const quorum = daemon.quorum || { problem: "" };
  const role = daemon.draining ? "draining" : quorum.problem ? "grants nothing" : grace || daemon.role || "serving";
  say($("state"), quorum.problem ? `grants nothing: ${quorum.problem}` : daemon.role === "standby" ? "stands by: another daemon grants locks" : role);
  $("state").className = `state ${["serving", "leader"].includes(role) ? "good" : ""}`;
  facts($("tiles"), [
    ["locks held", held.toLocaleString("en"), "holds"],
    ["waiting", waiting.toLocaleString("en"), "waits"],
    ["resources", resources.length.toLocaleString("en")],
    ["of them blocked", blocked.toLocaleString("en"), "waits"],
    ["longest wait", longestOf("waiters"), "waits"],
    ["longest hold", longestOf("holders"), "holds"],
    ["in the incubator", incubator.length.toLocaleString("en")],
    ["clients", daemon.connected.toLocaleString("en")],
    ["grants per second", String(Number(daemon.grants_per_second.toFixed(1)))],
    ["up", short(daemon.up)],
  ]);
  const counts = daemon.counts;
  const refused = Object.entries(counts.refused).map(([reason, times]) => `${times} ${reason.replaceAll("_", " ")}`);
  facts($("daemon"), [
    ["version", daemon.version],
    ["host", daemon.host],
    ["process", String(daemon.pid)],
    ["listens on", daemon.endpoints.join(", ") || "nothing"],
    ["grace period", grace || "none"],
    ["group", daemon.group ? `${daemon.group}, ${daemon.role || "no role yet"}` : "none"],
    ...(daemon.quorum ? quorumFacts(daemon.quorum) : []),
    ["epoch of tokens", String(daemon.epoch)],
    ["state directory", daemon.state_problem || daemon.state || "none"],
    ["started", new Date(daemon.started * 1000).toLocaleString("en-GB")],
    ["granted", counts.granted.toLocaleString("en")],
    ["refused", refused.join(", ") || "0"],
    ["connections so far", counts.connections.toLocaleString("en")],
    ["protocol errors", counts.protocol_errors.toLocaleString("en")],
    ["discovery requests", counts.discoveries.toLocaleString("en")],
  ]);
}

// A bar for each second; null where there was nothing to measure.
function showPlot(id, values, write, present) {
  const figure = $(id);
  const drawing = figure.querySelector("svg");
  const highest = Math.max(0, ...values);
  const bars = values.map((value, index) => {
    if (!value) return "";
    const height = Math.max(2, (value / highest) * 100);
    return `M${index} 100v${-height.toFixed(1)}h0.85V100z`;
  });
  drawing.setAttribute("viewBox", `0 0 ${values.length} 100`);
  drawing.setAttribute("aria-label", `the last five minutes: now ${present}, highest ${write(highest)}`);
  drawing.firstElementChild.setAttribute("d", bars.join(""));
  say(figure.querySelector(".highest"), highest ? `highest ${write(highest)}` : "");
  say(figure.querySelector("output"), present);
}

export function showPast(past, status) {
  const recently = (values) => values.slice(-10).reduce((sum, one) => sum + one, 0);
  const grants = recently(past.granted);
  showPlot("plot-grants", past.granted, String, `${grants / 10} now`);
  const waits = past.granted.map((granted, index) => (granted ? past.waited[index] / granted : null));
  const waiters = status.resources.flatMap((resource) => resource.waiters);
  const none = waiters.length ? `none granted now, longest wait ${short(longest(waiters))}` : "no grants now";
  showPlot("plot-waits", waits, measure, grants ? `${measure(recently(past.waited) / grants)} now` : none);
}

