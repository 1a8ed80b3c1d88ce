// Who blocks whom, drawn. The daemon tells it, by resource and kind of waiter.

import { wantedFirst } from "./filter.js";
import { $, draw, list, say, show } from "./nodes.js";
import { hrefOf } from "./resources.js";
import { count, detail, lasting, title, what, where, who } from "./words.js";

const GRAPHS = 12;
const GRAPH_HOLDERS = 12;
const GRAPH_WAITERS = [8, 24]; // in each of many, in a single one
const ALL_GRAPH_WAITERS = 96;
const NARROW = 400; // pixels; a narrower drawing has no room for commands and times

let blocking = {};

function blockersOf(waiter, resource) {
  const numbers = new Set(blocking[resource.number]?.[`${waiter.mode ?? ""} ${waiter.name}`]);
  return resource.holders.filter((holder) => numbers.has(holder.number) && holder.number !== waiter.converts);
}

// The client of a lock, if that is known: it may hold one resource and wait for another.
function identity(lock) {
  if (lock.pid !== null && lock.address !== "this process") return `${lock.address} ${lock.pid}`;
  return lock.address.includes("/") && !lock.address.startsWith("localhost/") ? lock.address : null;
}

function whatEachWaitsFor(resources) {
  const found = new Map(resources.flatMap(({ waiters }) => waiters.map((waiter) => [identity(waiter), waiter.name])));
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

export const short = (seconds) => lasting(seconds).split(" ").slice(0, 2).join(" ");

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

function box(className, x, y, width, lock, resource, chain, isNarrow) {
  const place = where(lock, resource);
  const text = isNarrow && lock.pid !== null ? `pid ${lock.pid}` : `${what(lock)} ${who(lock)}`;
  const rest = `${place && ` ${place}`}${chain ? `, itself waits for ${chain}` : ""}`;
  return draw(
    "g",
    { class: className },
    draw("title", {}, `${what(lock)} ${who(lock)}${rest} (${detail(lock)})`),
    draw("rect", { x: x + 0.5, y: y + 0.5, width: width - 1, height: BOX, rx: 5 }),
    draw("text", { x: x + 7, y: y + 17 }, fit(text, rest, width - 20 - (isNarrow ? 0 : TIME))),
    ...(isNarrow ? [] : [draw("text", { class: "for", x: x + width - 7, y: y + 17, "text-anchor": "end" })]),
  );
}

// The drawing, without the times: these change, and the drawing stays.
function drawGraph(resource, planned, width, chains) {
  const { holders, waiters, joints } = planned;
  const gap = Math.max(56, Math.min(140, width * 0.18));
  const isNarrow = width < NARROW;
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
    ...holders.map((holder) => box("holder", 0, top(holder), column, holder, resource, chain(holder), isNarrow)),
    ...waiters.map(([waiter]) => box("waiter", right, top(waiter), column, waiter, resource, "", isNarrow)),
  ];
  const label = `${count(waiters.length, "waiter", "waiters")} and ${count(holders.length, "holder", "holders")} of ${title(resource)}`;
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label }, lines, ...boxes);
}

function curve(x1, y1, x2, y2) {
  const x = (x1 + x2) / 2;
  return draw("path", { class: "blocks", d: `M${x1} ${y1}C${x} ${y1} ${x} ${y2} ${x2} ${y2}` });
}

// No holder is in its way: it waits for the waiters ahead of it, or for what it wants at once with this.
function behind(waiter, waiters, middle, right) {
  const index = waiters.findIndex(([one]) => one === waiter);
  if (index < 1 || waiter.beside?.length) return [];
  const [from, to] = [middle.get(waiter) - 5, middle.get(waiters[index - 1][0]) + 5];
  return [
    draw("path", { class: "behind", d: `M${right} ${from}C${right - 18} ${from} ${right - 18} ${to} ${right - 5} ${to}` }),
    draw("path", { class: "tip", d: `M${right} ${to}l-8 -4v8z` }),
  ];
}

function updateGraph(node, resource, chains, most) {
  const [heading, holder, more] = node.children;
  say(heading.firstChild, title(resource));
  heading.firstChild.setAttribute("href", hrefOf(resource));
  const planned = plan(resource, most);
  show(more, planned.undrawn);
  const width = Math.max(220, Math.floor(holder.clientWidth));
  const drawing = drawGraph(resource, planned, width, chains);
  if (node.shape !== drawing.outerHTML) {
    node.shape = drawing.outerHTML;
    holder.replaceChildren(drawing);
  }
  const locks = [...planned.holders, ...planned.waiters.map(([waiter]) => waiter)];
  holder.querySelectorAll(".for").forEach((time, index) => say(time, short(locks[index].seconds)));
}

export function showBlocking(resources, all, told) {
  blocking = told;
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

