// What a daemon holds, kept up to date.
//
// Clients choose names: they become the text of nodes, and nothing else. The page is changed only where it differs, so
// that what a user reads, marks or types stays where it is.

const PERIOD = 1000; // milliseconds from one look at the daemon to the next
const SHARE = 4; // a look that takes long is followed by a pause of so many times that
const PATIENCE = 15000; // milliseconds until a daemon that does not answer counts as unreachable
const MORE_CARDS = 60;
const CARD_LOCKS = 8; // of holders and of waiters, on a card
const GRAPHS = 12;
const GRAPH_HOLDERS = 12;
const GRAPH_WAITERS = [8, 24]; // in each of many, in a single one
const ALL_GRAPH_WAITERS = 96;
const INCUBATED = 40;

const $ = (id) => document.getElementById(id);

// making nodes

const copy = (id) => $(id).content.firstElementChild.cloneNode(true);

function draw(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function show(node, text) {
  node.hidden = !text;
  say(node, text || "");
}

// One child for each item, copied once for a key, kept in the order of the items.
function list(parent, items, keyOf, template, update) {
  const known = parent.known ?? new Map();
  const present = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const node = known.get(key) ?? copy(template);
    known.delete(key);
    present.set(key, node);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    update(node, item);
  }
  for (const node of known.values()) node.remove();
  parent.known = present;
}

function facts(parent, pairs) {
  list(parent, pairs, ([name]) => name, "fact", (node, [name, value, className]) => {
    node.className = className ?? "";
    say(node.firstChild, name);
    say(node.lastChild, value);
  });
}

// words

function lasting(seconds) {
  if (seconds < 1) return "<1 s";
  const [d, h, m, s] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  if (m) return `${m} min ${s} s`;
  return `${s} s`;
}

function measure(seconds) {
  if (seconds >= 60) return lasting(seconds);
  if (seconds >= 1) return `${seconds.toPrecision(2)} s`;
  if (seconds >= 0.001) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  return seconds ? "<1 ms" : "0 s";
}

const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
const who = (lock) => {
  const client = lock.pid !== null ? `pid ${lock.pid}` : lock.uid === null ? lock.address : "a process";
  return `${lock.command ? `${lock.command}, ` : ""}${client}${lock.in_grace ? ", in grace" : ""}`;
};

function detail(lock) {
  const process = [lock.pid !== null && `pid ${lock.pid}`, lock.uid !== null && `uid ${lock.uid}`].filter(Boolean);
  const told = [lock.command, lock.user && `user ${lock.user}`].filter(Boolean);
  const more = [lock.peer_id && `machine ${lock.peer_id}`, lock.token && `token ${lock.token}`].filter(Boolean);
  const grace = lock.in_grace ? ["in grace: its connection is broken, and it may come back"] : [];
  return [...told, ...process, lock.address, ...more, ...grace].join(", ");
}

// The mode, quantity and element of a lock, in a few letters.
const what = (lock) => [lock.mode, lock.quantity, lock.element].filter((part) => part !== null).join(" ");

// The node of a lock in a hierarchy, if it is not the one that the hierarchy is named after.
const where = (lock, resource) => (lock.name === resource.name || resource.type !== "hierarchical" ? "" : lock.name);

function left(free) {
  if (free === null) return "";
  if (!Array.isArray(free)) return `${free} free`;
  if (!free.length) return "nothing free";
  const few = free.slice(0, 5).join(", ");
  return `free: ${few}${free.length > 5 ? ` and ${free.length - 5} more` : ""}`;
}

// the filter

let wanted = [];

const lockText = (lock) => `${lock.name} ${detail(lock)} ${what(lock)}`.toLowerCase();
const isWanted = (text) => wanted.every((word) => text.includes(word));
const isLockWanted = (lock) => isWanted(lockText(lock));

function isResourceWanted(resource) {
  if (!wanted.length || isWanted(`${resource.name} ${resource.type}`.toLowerCase())) return true;
  return [...resource.holders, ...resource.waiters].some(isLockWanted);
}

// The locks to show, with their places in the queue; those that the filter wants come first.
function wantedFirst(locks, most) {
  const placed = locks.map((lock, index) => [lock, index]);
  if (!wanted.length) return placed.slice(0, most);
  const found = placed.filter(([lock]) => isLockWanted(lock));
  const rest = placed.filter(([lock]) => !isLockWanted(lock));
  return [...found, ...rest].slice(0, most);
}

// resources

const longest = (locks) => Math.max(0, ...locks.slice(0, 100).map((lock) => lock.seconds));
const rank = (resource) => (resource.waiters.length ? 0 : resource.holders.length ? 1 : 2);

// Blocked ones first, by the longest wait; then those that are held; then the others.
function inOrder(resources) {
  const keyed = resources.map((resource) => [rank(resource), -longest(resource.waiters), resource.number, resource]);
  keyed.sort((one, other) => one[0] - other[0] || one[1] - other[1] || one[2] - other[2]);
  return keyed.map((key) => key[3]);
}

function updateLock(node, lock, place, resource) {
  const [placeNode, middle, time] = node.children;
  const [whatNode, whoNode, whereNode, detailNode] = middle.children;
  say(placeNode, place);
  say(whatNode, resource ? what(lock) : `${lock.name} ${what(lock)}`);
  say(whoNode, who(lock));
  say(whereNode, resource ? where(lock, resource) : "");
  say(detailNode, lock.uid === null ? (lock.peer_id ?? "") : `uid ${lock.uid}`);
  say(time, lasting(lock.seconds));
  node.title = detail(lock);
  node.className = lock.in_grace ? "in-grace" : "";
}

function updateCard(card, resource) {
  const [name, line, holders, waiters] = card.children;
  card.className = `card ${["blocked", "held", "idle"][rank(resource)]}`;
  say(name, resource.name);
  const facts = [resource.type, left(resource.free), `for ${lasting(resource.seconds)}`];
  if (resource.idle_left !== null) facts.push(`forgotten in ${lasting(resource.idle_left)}`);
  say(line, facts.filter(Boolean).join(" \u00b7 "));
  const inGrace = resource.holders.filter((lock) => lock.in_grace).length;
  const broken = inGrace ? `, ${inGrace.toLocaleString("en")} in grace` : "";
  updateLocks(holders, resource.holders, resource, (number) => `${count(number, "holder", "holders")}${broken}`);
  updateLocks(waiters, resource.waiters, resource, (number) => `${number.toLocaleString("en")} waiting`);
}

function updateLocks(group, locks, resource, title) {
  const [heading, body, more] = group.children;
  group.hidden = !locks.length;
  say(heading, title(locks.length));
  const shown = wantedFirst(locks, CARD_LOCKS);
  const isQueue = body.tagName === "OL";
  list(body, shown, ([lock]) => lock.number, "lock", (node, [lock, index]) => {
    updateLock(node, lock, isQueue ? `${index + 1}.` : "", resource);
  });
  show(more, locks.length > shown.length ? `and ${(locks.length - shown.length).toLocaleString("en")} more` : "");
}

let cards = MORE_CARDS;

function showResources(resources, all) {
  const shown = resources.slice(0, cards);
  list($("resources"), shown, (resource) => `${resource.number} ${resource.name}`, "card", updateCard);
  show($("nothing"), resources.length ? "" : all.length ? "None matches the filter." : "Nothing is locked.");
  const hidden = resources.length - shown.length;
  show($("more"), hidden ? `Show ${Math.min(hidden, MORE_CARDS)} more of ${hidden.toLocaleString("en")}` : "");
  const found = wanted.length ? `${resources.length.toLocaleString("en")} of ${count(all.length, "resource", "resources")}` : "";
  say($("shown"), found);
}

function showIncubator(incubator) {
  const found = wanted.length ? incubator.filter(isLockWanted) : incubator;
  const shown = found.slice(0, INCUBATED);
  $("incubator").hidden = !incubator.length;
  list($("incubated"), shown, (lock) => lock.number, "lock", (node, lock) => updateLock(node, lock, ""));
  show($("incubated-more"), found.length > shown.length ? `and ${found.length - shown.length} more` : "");
}

// who blocks whom: the daemon tells, by resource and kind of waiter

let blocking = {};

function blockersOf(waiter, resource) {
  const numbers = new Set(blocking[resource.number]?.[`${waiter.mode ?? ""} ${waiter.name}`]);
  return resource.holders.filter((holder) => numbers.has(holder.number));
}

// The client of a lock, if that is known: it may hold one resource and wait for another.
function identity(lock) {
  if (lock.pid !== null && lock.address !== "this process") return `${lock.address} ${lock.pid}`;
  return lock.address.includes("/") && !lock.address.startsWith("localhost/") ? lock.address : null;
}

function whatEachWaitsFor(resources) {
  const found = new Map(resources.flatMap(({ name, waiters }) => waiters.map((waiter) => [identity(waiter), name])));
  found.delete(null);
  return found;
}

const ROW = 32;
const BOX = 26;
const LETTER = 6.7; // about the width of one, in pixels
const TIME = 36; // what "59 min" takes

// As much of text and rest as fits; nothing of rest, if text would lose a letter for it.
function fit(text, rest, width) {
  const most = Math.max(1, Math.floor(width / LETTER));
  const full = text + rest;
  if (full.length <= most) return full;
  return text.length === most ? text : `${full.slice(0, most - 1)}\u2026`;
}

const short = (seconds) => lasting(seconds).split(" ").slice(0, 2).join(" ");

// What to draw of a resource: waiters, and the holders in their way.
//
// Waiters with the same holders in their way share a joint, so that the lines are as many as the locks, not as
// their pairs.
function plan(resource, most) {
  const waiters = wantedFirst(resource.waiters, most).sort((one, other) => one[1] - other[1]);
  const blockers = new Map(waiters.map(([waiter]) => [waiter, blockersOf(waiter, resource)]));
  const inTheWay = new Set([...blockers.values()].flat());
  const holders = resource.holders.filter((holder) => inTheWay.has(holder)).slice(0, GRAPH_HOLDERS);
  const joints = new Map();
  for (const [waiter] of waiters) {
    const found = blockers.get(waiter).filter((holder) => holders.includes(holder));
    const key = found.map((holder) => holder.number).join(" ");
    if (!joints.has(key)) joints.set(key, { holders: found, waiters: [] });
    joints.get(key).waiters.push(waiter);
  }
  const undrawn = [];
  if (inTheWay.size > holders.length) undrawn.push(count(inTheWay.size - holders.length, "more holder", "more holders"));
  const rest = resource.waiters.length - waiters.length;
  if (rest) undrawn.push(count(rest, "more waiter", "more waiters"));
  return { holders, waiters, joints: [...joints.values()], undrawn: undrawn.length ? `${undrawn.join(" and ")} not drawn` : "" };
}

function box(className, x, y, width, lock, resource, chain) {
  const place = where(lock, resource);
  const text = `${what(lock)} ${who(lock)}`;
  const rest = `${place && ` ${place}`}${chain ? `, itself waits for ${chain}` : ""}`;
  return draw(
    "g",
    { class: className },
    draw("title", {}, `${text}${rest} (${detail(lock)})`),
    draw("rect", { x: x + 0.5, y: y + 0.5, width: width - 1, height: BOX, rx: 5 }),
    draw("text", { x: x + 7, y: y + 17 }, fit(text, rest, width - 20 - TIME)),
    draw("text", { class: "for", x: x + width - 7, y: y + 17, "text-anchor": "end" }),
  );
}

// The drawing, without the times: these change, and the drawing stays.
function drawGraph(resource, planned, width, chains) {
  const { holders, waiters, joints } = planned;
  const gap = Math.max(56, Math.min(140, width * 0.18));
  const column = Math.floor((width - gap) / 2);
  const right = width - column;
  const offset = Math.max(0, Math.min(96, ((waiters.length - holders.length) * ROW) / 2));
  const height = Math.max(waiters.length * ROW, offset + holders.length * ROW);
  const middle = new Map([
    ...holders.map((holder, index) => [holder, offset + index * ROW + BOX / 2]),
    ...waiters.map(([waiter], index) => [waiter, index * ROW + BOX / 2]),
  ]);
  const lines = draw("g", {});
  joints.forEach((joint, index) => {
    if (!joint.holders.length) {
      joint.waiters.forEach((waiter) => lines.append(...behind(waiter, waiters, middle, right)));
      return;
    }
    const x = column + 14 + ((gap - 24) * (index + 1)) / (joints.length + 1);
    const ys = joint.holders.map((holder) => middle.get(holder));
    const y = ys.reduce((sum, one) => sum + one, 0) / ys.length;
    for (const from of joint.waiters) lines.append(curve(right, middle.get(from), x, y));
    for (const to of ys) {
      lines.append(curve(x, y, column + 6, to), draw("path", { class: "tip", d: `M${column + 1} ${to}l8 -4v8z` }));
    }
    if (joint.holders.length > 1 && joint.waiters.length > 1) lines.append(draw("circle", { class: "joint", cx: x, cy: y, r: 3 }));
  });
  const top = (lock) => middle.get(lock) - BOX / 2;
  const chain = (holder) => chains.get(identity(holder));
  const boxes = [
    ...holders.map((holder) => box("holder", 0, top(holder), column, holder, resource, chain(holder))),
    ...waiters.map(([waiter]) => box("waiter", right, top(waiter), column, waiter, resource, "")),
  ];
  const label = `${count(waiters.length, "waiter", "waiters")} and ${count(holders.length, "holder", "holders")} of ${resource.name}`;
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label }, lines, ...boxes);
}

function curve(x1, y1, x2, y2) {
  const x = (x1 + x2) / 2;
  return draw("path", { class: "blocks", d: `M${x1} ${y1}C${x} ${y1} ${x} ${y2} ${x2} ${y2}` });
}

// No holder is in its way: it waits for the waiters ahead of it.
function behind(waiter, waiters, middle, right) {
  const index = waiters.findIndex(([one]) => one === waiter);
  if (index < 1) return [];
  const [from, to] = [middle.get(waiter) - 5, middle.get(waiters[index - 1][0]) + 5];
  return [
    draw("path", { class: "behind", d: `M${right} ${from}C${right - 18} ${from} ${right - 18} ${to} ${right - 5} ${to}` }),
    draw("path", { class: "tip", d: `M${right} ${to}l-8 -4v8z` }),
  ];
}

function updateGraph(node, resource, chains, most) {
  const [heading, holder, more] = node.children;
  say(heading, resource.name);
  const planned = plan(resource, most);
  show(more, planned.undrawn);
  const width = Math.max(240, Math.floor(holder.clientWidth));
  const drawing = drawGraph(resource, planned, width, chains);
  if (node.shape !== drawing.outerHTML) {
    node.shape = drawing.outerHTML;
    holder.replaceChildren(drawing);
  }
  const locks = [...planned.holders, ...planned.waiters.map(([waiter]) => waiter)];
  holder.querySelectorAll(".for").forEach((time, index) => say(time, short(locks[index].seconds)));
}

function showBlocking(resources, all) {
  const blocked = resources.filter((resource) => resource.waiters.length);
  const chains = whatEachWaitsFor(all);
  $("blocking").hidden = !blocked.length; // first: what is hidden has no width
  const shown = blocked.slice(0, GRAPHS);
  const share = Math.floor(ALL_GRAPH_WAITERS / Math.max(1, shown.length));
  const most = Math.min(Math.max(share, GRAPH_WAITERS[0]), GRAPH_WAITERS[1]);
  list($("graphs"), shown, (resource) => `${resource.number} ${resource.name}`, "graph", (node, resource) => {
    updateGraph(node, resource, chains, most);
  });
  const hidden = blocked.length - shown.length;
  show($("undrawn"), hidden ? `${count(hidden, "more blocked resource is", "more blocked resources are")} not drawn; the filter finds them.` : "");
}

// the daemon

function quorumFacts(quorum) {
  const bad = Object.entries(quorum.etcd).filter(([, problem]) => problem).map(([endpoint, problem]) => `${endpoint}: ${problem}`);
  const since = quorum.since === null ? "" : ` since ${new Date(quorum.since * 1000).toLocaleString("en-GB")}`;
  return [
    ["leader by quorum", quorum.leader ? `${quorum.leader}${since}` : "none known"],
    ["lease left", quorum.lease_left === null ? "does not lead" : `${quorum.lease_left.toFixed(1)} s`],
    ["etcd", bad.join("; ") || Object.keys(quorum.etcd).join(", ")],
  ];
}

function showDaemon(status) {
  const { daemon, resources, incubator } = status;
  const held = resources.reduce((sum, resource) => sum + resource.holders.length, 0);
  const waiting = resources.reduce((sum, resource) => sum + resource.waiters.length, 0);
  const blocked = resources.filter((resource) => resource.waiters.length).length;
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

function showPast(past) {
  const recently = (values) => values.slice(-10).reduce((sum, one) => sum + one, 0);
  const grants = recently(past.granted);
  showPlot("plot-grants", past.granted, String, `${grants / 10} now`);
  const waits = past.granted.map((granted, index) => (granted ? past.waited[index] / granted : null));
  showPlot("plot-waits", waits, measure, grants ? `${measure(recently(past.waited) / grants)} now` : "no grants now");
}

// asking the daemon

let latest = null;
let unreachableSince = null;

function showAll() {
  if (latest) {
    const { status } = latest;
    blocking = latest.blocking;
    showDaemon(status);
    showPast(latest);
    const resources = inOrder(status.resources.filter(isResourceWanted));
    showResources(resources, status.resources);
    showBlocking(resources, status.resources);
    showIncubator(status.incubator);
  }
  const since = unreachableSince;
  $("main").classList.toggle("stale", since !== null);
  const shown = latest ? " What is shown is from before." : "";
  show($("trouble"), since && `The daemon is unreachable since ${since.toLocaleTimeString("en-GB")}.${shown}`);
  if (since) {
    say($("state"), "unreachable");
    $("state").className = "state bad";
  }
}

async function look() {
  const began = performance.now();
  try {
    const answer = await fetch("page.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(answer.status);
    latest = await answer.json();
    unreachableSince = null;
  } catch {
    unreachableSince ??= new Date(); // the next look may succeed
  }
  try {
    showAll();
  } finally {
    setTimeout(look, Math.max(PERIOD, SHARE * (performance.now() - began)));
  }
}

$("filter").addEventListener("input", () => {
  wanted = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  cards = MORE_CARDS;
  showAll();
});
$("more").addEventListener("click", () => {
  cards += MORE_CARDS;
  showAll();
});
addEventListener("resize", showAll);
look();
