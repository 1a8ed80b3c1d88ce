// One resource, with all of its queue.

import { wantedFirst } from "./filter.js";
import { showHistory } from "./history.js";
import { $, list, say, show } from "./nodes.js";
import { factsOf, holderCount } from "./resources.js";
import { detail, lasting, title, what, where, who } from "./words.js";

const MORE_ROWS = 200;

let rows = MORE_ROWS;

export function showMoreRows() {
  rows += MORE_ROWS;
}

export function showFirstRows() {
  rows = MORE_ROWS;
}

function updateRow(row, lock, place, resource) {
  const [placeNode, whatNode, whoNode, userNode, fromNode, timeNode] = row.children;
  say(placeNode, place);
  say(whatNode, [what(lock), where(lock, resource)].filter(Boolean).join(" "));
  say(whoNode, who(lock));
  say(userNode, lock.user || (lock.uid === null ? "" : `uid ${lock.uid}`));
  say(fromNode, [lock.address, lock.peer_id].filter(Boolean).join(" "));
  say(timeNode, lasting(lock.seconds));
  row.title = detail(lock);
  row.className = lock.in_grace ? "in-grace" : "";
}

function showTable(id, locks, resource, isQueue) {
  const shown = wantedFirst(locks, rows);
  $(`${id}-table`).hidden = !locks.length;
  list($(id), shown, ([lock]) => lock.number, "row", (row, [lock, index]) => {
    updateRow(row, lock, isQueue ? String(index + 1) : "", resource);
  });
  return locks.length - shown.length;
}

// Show the resource of this title; it may be one that is not there, or no longer.
export function showResource(name, resources) {
  const resource = resources.find((one) => title(one) === name);
  say($("resource-name"), name);
  say($("resource-facts"), resource ? factsOf(resource) : "Nothing holds it, waits for it, or remembers it now.");
  say($("holding-count"), resource ? holderCount(resource) : "");
  say($("waiting-count"), resource ? `${resource.waiters.length.toLocaleString("en")} waiting` : "");
  const hidden = showTable("holding", resource?.holders ?? [], resource, false) + showTable("queue", resource?.waiters ?? [], resource, true);
  show($("more-rows"), hidden ? `Show more of ${hidden.toLocaleString("en")}` : "");
  showHistory(name);
  return resource;
}
