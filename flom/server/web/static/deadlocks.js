// A banner for processes that wait for each other in a circle. The daemon finds the circles.

import { hrefOf } from "./resources.js";
import { $, list, say, show } from "./nodes.js";
import { count, what, who } from "./words.js";

const SHOWN = 5;

export function showDeadlocks(status) {
  const circles = status.deadlocks ?? [];
  $("deadlocks").hidden = !circles.length;
  say($("deadlocks-title"), circles.length ? `${count(circles.length, "deadlock", "deadlocks")}: these wait for each other, and none of them can go on.` : "");
  const locks = new Map();
  for (const resource of circles.length ? status.resources : []) {
    for (const lock of [...resource.holders, ...resource.waiters]) locks.set(lock.number, [lock, resource]);
  }
  const shown = circles.slice(0, SHOWN);
  list($("circles"), shown, (circle) => circle.steps[0].waiter, "circle", (node, circle) => {
    list(node.firstElementChild, circle.steps, (step) => step.waiter, "step", (line, step) => {
      const [waiter, resource] = locks.get(step.waiter);
      const [holder] = locks.get(step.holder);
      const [whoNode, linkNode, holderNode] = line.children;
      say(whoNode, who(waiter));
      say(linkNode, waiter.name);
      linkNode.setAttribute("href", hrefOf(resource));
      say(holderNode, `${who(holder)} (${what(holder)})`);
    });
  });
  show($("more-circles"), circles.length > shown.length ? `and ${circles.length - shown.length} more` : "");
}
