// Resources as cards, and the incubator.

import { inOrder, isFiltered, isLockWanted, isResourceWanted, rank, wantedFirst } from "./filter.js";
import { $, list, say, show } from "./nodes.js";
import { count, detail, lasting, left, title, what, where, who } from "./words.js";

const MORE_CARDS = 60;
const CARD_LOCKS = 8; // of holders and of waiters, on a card
const INCUBATED = 40;

let cards = MORE_CARDS;

export function showMoreCards() {
  cards += MORE_CARDS;
}

export function showFirstCards() {
  cards = MORE_CARDS;
}

export const hrefOf = (resource) => `#resource=${encodeURIComponent(title(resource))}`;

function updateLock(node, lock, place, resource) {
  const [placeNode, middle, time] = node.children;
  const [whatNode, whoNode, whereNode, detailNode] = middle.children;
  say(placeNode, place);
  say(whatNode, resource ? what(lock) : `${lock.name} ${what(lock)}`);
  say(whoNode, who(lock));
  say(whereNode, resource ? where(lock, resource) : "");
  say(detailNode, lock.uid === null ? (lock.peer_id ?? "") : lock.user || `uid ${lock.uid}`);
  say(time, lasting(lock.seconds));
  node.title = detail(lock);
  node.className = lock.in_grace ? "in-grace" : "";
}

export function factsOf(resource) {
  const facts = [resource.type, left(resource), `for ${lasting(resource.seconds)}`];
  if (resource.idle_left !== null) facts.push(`forgotten in ${lasting(resource.idle_left)}`);
  return facts.filter(Boolean).join(" \u00b7 ");
}

export function holderCount(resource) {
  const inGrace = resource.holders.filter((lock) => lock.in_grace).length;
  const broken = inGrace ? `, ${inGrace.toLocaleString("en")} in grace` : "";
  return `${count(resource.holders.length, "holder", "holders")}${broken}`;
}

function updateCard(card, resource) {
  const [name, line, holders, waiters] = card.children;
  const link = name.firstChild;
  card.className = `card ${["blocked", "held", "idle"][rank(resource)]}`;
  say(link, title(resource));
  if (link.getAttribute("href") !== hrefOf(resource)) link.setAttribute("href", hrefOf(resource));
  say(line, factsOf(resource));
  updateLocks(holders, resource.holders, resource, holderCount(resource));
  updateLocks(waiters, resource.waiters, resource, `${resource.waiters.length.toLocaleString("en")} waiting`);
}

function updateLocks(group, locks, resource, heading) {
  const [headingNode, body, more] = group.children;
  group.hidden = !locks.length;
  say(headingNode, heading);
  const shown = wantedFirst(locks, CARD_LOCKS);
  const isQueue = body.tagName === "OL";
  list(body, shown, ([lock]) => lock.number, "lock", (node, [lock, index]) => {
    updateLock(node, lock, isQueue ? `${index + 1}.` : "", resource);
  });
  show(more, locks.length > shown.length ? `and ${(locks.length - shown.length).toLocaleString("en")} more` : "");
}

// Return the resources that the filter wants, in order.
export function showResources(all) {
  const resources = inOrder(all.filter(isResourceWanted));
  const shown = resources.slice(0, cards);
  list($("resources"), shown, (resource) => `${resource.number} ${resource.name}`, "card", updateCard);
  show($("nothing"), resources.length ? "" : all.length ? "None matches the filter." : "Nothing is locked.");
  const hidden = resources.length - shown.length;
  show($("more"), hidden ? `Show ${Math.min(hidden, MORE_CARDS)} more of ${hidden.toLocaleString("en")}` : "");
  const found = isFiltered() ? `${resources.length.toLocaleString("en")} of ${count(all.length, "resource", "resources")}` : "";
  say($("shown"), found);
  return resources;
}

export function showIncubator(incubator) {
  const found = isFiltered() ? incubator.filter(isLockWanted) : incubator;
  const shown = found.slice(0, INCUBATED);
  $("incubator").hidden = !incubator.length;
  list($("incubated"), shown, (lock) => lock.number, "lock", (node, lock) => updateLock(node, lock, ""));
  show($("incubated-more"), found.length > shown.length ? `and ${found.length - shown.length} more` : "");
}
