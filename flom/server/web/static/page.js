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

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function draw(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function hint(node, text) {
  if (node.title !== text) node.title = text;
}

function show(node, text) {
  node.hidden = !text;
  say(node, text || "");
}

// One child for each item, made once for a key, kept in the order of the items.
function list(parent, items, keyOf, makeOne, update) {
  const known = parent.known ?? new Map();
  const present = new Map();
  let place = parent.firstElementChild;
  items.forEach((item, index) => {
    const key = keyOf(item);
    const node = known.get(key) ?? makeOne();
    known.delete(key);
    present.set(key, node);
    update(node, item, index);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  });
  for (const node of known.values()) node.remove();
  parent.known = present;
}

function facts(parent, pairs) {
  list(
    parent,
    pairs,
    ([name]) => name,
    () => make("div", "", make("dt"), make("dd")),
    (node, [name, value, className]) => {
      node.className = className ?? "";
      say(node.firstChild, name);
      say(node.lastChild, value);
    },
  );
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
const who = (lock) => (lock.pid === null ? lock.address : `pid ${lock.pid}`);
const clock = (date) => date.toLocaleTimeString("en-GB");

function detail(lock) {
  const found = [];
  if (lock.pid !== null) found.push(`pid ${lock.pid}`, `uid ${lock.uid}`);
  found.push(lock.address);
  if (lock.peer_id) found.push(`machine ${lock.peer_id}`);
  return found.join(", ");
}

// The mode, quantity and element of a lock, in a few letters.
function what(lock) {
  const found = [];
  if (lock.mode !== null) found.push(lock.mode);
  if (lock.quantity !== null) found.push(String(lock.quantity));
  if (lock.element !== null) found.push(lock.element);
  return found.join(" ");
}

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

function makeLock() {
  const [place, whatNode, whoNode] = [make("span", "place"), make("span", "what"), make("span", "who")];
  const [whereNode, detailNode, time] = [make("span", "where"), make("span", "detail"), make("span", "lasting")];
  const middle = make("span", "", whatNode, " ", whoNode, " ", whereNode, " ", detailNode);
  const item = make("li", "", place, middle, time);
  item.parts = { place, whatNode, whoNode, whereNode, detailNode, time };
  return item;
}

function updateLock(node, lock, place, resource) {
  const parts = node.parts;
  say(parts.place, place);
  say(parts.whatNode, resource ? what(lock) : `${lock.name} ${what(lock)}`);
  say(parts.whoNode, who(lock));
  say(parts.whereNode, resource ? where(lock, resource) : "");
  say(parts.detailNode, lock.pid === null ? (lock.peer_id ?? "") : `uid ${lock.uid}`);
  say(parts.time, lasting(lock.seconds));
  hint(node, detail(lock));
}

function makeCard() {
  const card = make("article", "card", make("h3"), make("p", "facts-line"));
  for (const kind of ["holders", "waiters"]) {
    const parts = [make("h4"), make(kind === "holders" ? "ul" : "ol", "locks"), make("p", "more")];
    card[kind] = make("div", kind, ...parts);
    card.append(card[kind]);
  }
  return card;
}

function updateCard(card, resource) {
  card.className = `card ${["blocked", "held", "idle"][rank(resource)]}`;
  say(card.querySelector("h3"), resource.name);
  const facts = [resource.type, left(resource.free), `for ${lasting(resource.seconds)}`];
  if (resource.idle_left !== null) facts.push(`forgotten in ${lasting(resource.idle_left)}`);
  say(card.querySelector(".facts-line"), facts.filter(Boolean).join(" \u00b7 "));
  updateLocks(card.holders, resource.holders, resource, (number) => count(number, "holder", "holders"));
  updateLocks(card.waiters, resource.waiters, resource, (number) => `${number.toLocaleString("en")} waiting`);
}

function updateLocks(group, locks, resource, title) {
  const [heading, body, more] = group.children;
  group.hidden = !locks.length;
  say(heading, title(locks.length));
  const shown = wantedFirst(locks, CARD_LOCKS);
  const isQueue = body.tagName === "OL";
  list(
    body,
    shown,
    ([lock]) => lock.number,
    makeLock,
    (node, [lock, index]) => updateLock(node, lock, isQueue ? `${index + 1}.` : "", resource),
  );
  show(more, locks.length > shown.length ? `and ${(locks.length - shown.length).toLocaleString("en")} more` : "");
}

let cards = MORE_CARDS;

function showResources(resources, all) {
  const shown = resources.slice(0, cards);
  list($("resources"), shown, (resource) => `${resource.number} ${resource.name}`, makeCard, updateCard);
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
  list(
    $("incubated"),
    shown,
    (lock) => lock.number,
    makeLock,
    (node, lock) => updateLock(node, lock, ""),
  );
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
  const found = new Map();
  for (const resource of resources) {
    for (const waiter of resource.waiters) {
      const key = identity(waiter);
      if (key !== null) found.set(key, resource.name);
    }
  }
  return found;
}

const ROW = 32;
const BOX = 26;
const LETTER = 6.7; // about the width of one, in pixels

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

function box(className, x, y, width, lock, resource, chain, times) {
  const time = draw("text", { class: "for", x: x + width - 7, y: y + 17, "text-anchor": "end" }, short(lock.seconds));
  times.set(`${className} ${lock.number}`, time);
  const place = where(lock, resource);
  const text = `${what(lock)} ${who(lock)}`;
  const rest = `${place && ` ${place}`}${chain ? `, itself waits for ${chain}` : ""}`;
  return draw(
    "g",
    { class: className },
    draw("title", {}, `${text}${rest} (${detail(lock)})`),
    draw("rect", { x: x + 0.5, y: y + 0.5, width: width - 1, height: BOX, rx: 5 }),
    draw("text", { x: x + 7, y: y + 17 }, fit(text, rest, width - 20 - time.textContent.length * 6)),
    time,
  );
}

function drawGraph(resource, planned, width, chains) {
  const { holders, waiters, joints } = planned;
  const gap = Math.max(56, Math.min(140, width * 0.18));
  const column = Math.floor((width - gap) / 2);
  const right = width - column;
  const offset = Math.max(0, Math.min(96, ((waiters.length - holders.length) * ROW) / 2));
  const height = Math.max(waiters.length * ROW, offset + holders.length * ROW);
  const middle = new Map();
  holders.forEach((holder, index) => middle.set(holder, offset + index * ROW + BOX / 2));
  waiters.forEach(([waiter], index) => middle.set(waiter, index * ROW + BOX / 2));

  const times = new Map();
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
  const boxes = draw("g", {});
  for (const holder of holders) {
    const y = middle.get(holder) - BOX / 2;
    boxes.append(box("holder", 0, y, column, holder, resource, chains.get(identity(holder)), times));
  }
  for (const [waiter] of waiters) {
    boxes.append(box("waiter", right, middle.get(waiter) - BOX / 2, column, waiter, resource, "", times));
  }
  const attributes = { viewBox: `0 0 ${width} ${height}`, height, role: "img" };
  const drawing = draw("svg", attributes, lines, boxes);
  drawing.setAttribute("aria-label", `${count(waiters.length, "waiter", "waiters")} and ${count(holders.length, "holder", "holders")} of ${resource.name}`);
  return { drawing, times };
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

function makeGraph() {
  return make("article", "graph", make("h3"), make("div"), make("p", "more"));
}

function updateGraph(node, resource, chains, most) {
  const [heading, holder, more] = node.children;
  say(heading, resource.name);
  const planned = plan(resource, most);
  show(more, planned.undrawn);
  const width = Math.max(240, Math.floor(holder.clientWidth));
  const locks = [...planned.holders, ...planned.waiters.map(([waiter]) => waiter)];
  const shape = JSON.stringify([
    resource.name,
    width,
    planned.holders.map((one) => [one.number, what(one), who(one), chains.get(identity(one))]),
    planned.waiters.map(([one]) => [one.number, what(one), who(one)]),
    planned.joints.map((joint) => [joint.holders.map((one) => one.number), joint.waiters.map((one) => one.number)]),
  ]);
  if (node.shape !== shape) {
    const { drawing, times } = drawGraph(resource, planned, width, chains);
    holder.replaceChildren(drawing);
    node.shape = shape;
    node.times = times;
    return;
  }
  for (const lock of locks) {
    const kind = planned.holders.includes(lock) ? "holder" : "waiter";
    say(node.times.get(`${kind} ${lock.number}`), short(lock.seconds));
  }
}

function showBlocking(resources, all) {
  const blocked = resources.filter((resource) => resource.waiters.length);
  const chains = whatEachWaitsFor(all);
  $("blocking").hidden = !blocked.length; // first: what is hidden has no width
  const shown = blocked.slice(0, GRAPHS);
  const share = Math.floor(ALL_GRAPH_WAITERS / Math.max(1, shown.length));
  const most = Math.min(Math.max(share, GRAPH_WAITERS[0]), GRAPH_WAITERS[1]);
  list($("graphs"), shown, (resource) => `${resource.number} ${resource.name}`, makeGraph, (node, resource) => {
    if (node.isConnected) updateGraph(node, resource, chains, most);
    else requestAnimationFrame(() => updateGraph(node, resource, chains, most)); // it has no width yet
  });
  const hidden = blocked.length - shown.length;
  show($("undrawn"), hidden ? `${count(hidden, "more blocked resource is", "more blocked resources are")} not drawn; the filter finds them.` : "");
}

// the daemon

function showDaemon(status) {
  const { daemon, resources, incubator } = status;
  const uptime = daemon.now - daemon.started;
  const held = resources.reduce((sum, resource) => sum + resource.holders.length, 0);
  const waiting = resources.reduce((sum, resource) => sum + resource.waiters.length, 0);
  const blocked = resources.filter((resource) => resource.waiters.length).length;
  say($("host"), daemon.host);
  document.title = `${waiting ? `(${waiting}) ` : ""}flom ${daemon.host}`;
  const role = daemon.role || "serving";
  say($("state"), daemon.role === "standby" ? "stands by: another daemon grants locks" : role);
  $("state").className = `state ${["serving", "leader"].includes(role) ? "good" : ""}`;
  const tiles = [
    ["locks held", held.toLocaleString("en"), "holds"],
    ["waiting", waiting.toLocaleString("en"), "waits"],
    ["resources", resources.length.toLocaleString("en")],
    ["of them blocked", blocked.toLocaleString("en"), "waits"],
    ["in the incubator", incubator.length.toLocaleString("en")],
    ["clients", daemon.connected.toLocaleString("en")],
    ["grants per second", String(Number(daemon.grants_per_second.toFixed(1)))],
    ["up", short(uptime)],
  ];
  facts($("tiles"), tiles);
  const counts = daemon.counts;
  const refused = Object.entries(counts.refused).map(([reason, times]) => `${times} ${reason.replaceAll("_", " ")}`);
  facts($("daemon"), [
    ["version", daemon.version],
    ["host", daemon.host],
    ["process", String(daemon.pid)],
    ["listens on", daemon.endpoints.join(", ") || "nothing"],
    ["group", daemon.group ? `${daemon.group}, ${daemon.role || "no role yet"}` : "none"],
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
  if (!figure.bars) {
    figure.bars = draw("path", {});
    figure.highest = make("span");
    const plot = draw("svg", { viewBox: `0 0 ${values.length} 100`, preserveAspectRatio: "none", role: "img" }, figure.bars);
    figure.append(plot, make("div", "axis", make("span", "", "5 min ago"), figure.highest, make("span", "", "now")));
  }
  const highest = Math.max(0, ...values);
  const bars = values.map((value, index) => {
    if (!value) return "";
    const height = Math.max(2, (value / highest) * 100);
    return `M${index} 100v${-height.toFixed(1)}h0.85V100z`;
  });
  figure.bars.setAttribute("d", bars.join(""));
  say(figure.highest, highest ? `highest ${write(highest)}` : "");
  figure.querySelector("svg").setAttribute("aria-label", `the last five minutes: now ${present}, highest ${write(highest)}`);
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
  if (!latest) return;
  const status = latest.status;
  blocking = latest.blocking;
  showDaemon(status);
  showPast(latest);
  const resources = inOrder(status.resources.filter(isResourceWanted));
  showResources(resources, status.resources);
  showBlocking(resources, status.resources);
  showIncubator(status.incubator);
}

function showTrouble() {
  const since = unreachableSince;
  $("main").classList.toggle("stale", since !== null);
  if (since === null) {
    show($("trouble"), "");
    return;
  }
  const shown = latest ? " What is shown is from before." : "";
  show($("trouble"), `The daemon is unreachable since ${clock(since)}.${shown}`);
  say($("state"), "unreachable");
  $("state").className = "state bad";
}

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function look() {
  const began = performance.now();
  let found = null;
  try {
    found = await get("page.json");
  } catch {
    unreachableSince ??= new Date(); // whatever it is, the next look may find it gone
  }
  try {
    if (found) {
      latest = found;
      unreachableSince = null;
      showAll();
    }
    showTrouble();
  } finally {
    setTimeout(look, Math.max(PERIOD, SHARE * (performance.now() - began)));
  }
}

$("filter").addEventListener("input", () => {
  wanted = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  cards = MORE_CARDS;
  showAll();
  showTrouble();
});
$("more").addEventListener("click", () => {
  cards += MORE_CARDS;
  showAll();
  showTrouble();
});
let turned = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(turned);
  turned = requestAnimationFrame(() => {
    showAll();
    showTrouble();
  });
});
look();
