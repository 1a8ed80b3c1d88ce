// What the user looks for, and in which order it is shown.

import { detail, title, what } from "./words.js";

let wanted = [];
let order = "waits";

// Look for all words of a text; an empty one is for everything.
export function look(text) {
  wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
}

export function sortBy(name) {
  order = name;
}

export const isFiltered = () => wanted.length > 0;

const lockText = (lock) => `${lock.name} ${detail(lock)} ${what(lock)}`.toLowerCase();
const isWanted = (text) => wanted.every((word) => text.includes(word));
export const isLockWanted = (lock) => isWanted(lockText(lock));

export function isResourceWanted(resource) {
  if (!wanted.length || isWanted(`${resource.name} ${resource.type}`.toLowerCase())) return true;
  return [...resource.holders, ...resource.waiters].some(isLockWanted);
}

// The locks to show, with their places in the queue; those that the filter wants come first.
export function wantedFirst(locks, most) {
  const placed = locks.map((lock, index) => [lock, index]);
  if (!wanted.length) return placed.slice(0, most);
  const found = placed.filter(([lock]) => isLockWanted(lock));
  const rest = placed.filter(([lock]) => !isLockWanted(lock));
  return [...found, ...rest].slice(0, most);
}

export const longest = (locks) => locks.reduce((most, lock) => Math.max(most, lock.seconds), 0);
export const rank = (resource) => (resource.waiters.length ? 0 : resource.holders.length ? 1 : 2);

// By what each order compares two resources, first of all; the older one comes first if that is equal.
const KEYS = {
  waits: (resource) => [rank(resource), -longest(resource.waiters)],
  holds: (resource) => [-longest(resource.holders)],
  queue: (resource) => [-resource.waiters.length],
  newest: (resource) => [resource.seconds],
};

const byName = (one, other) => title(one).localeCompare(title(other), "en", { numeric: true });

export function inOrder(resources) {
  if (order === "name") return [...resources].sort(byName);
  const keyed = resources.map((resource) => [...KEYS[order](resource), resource.number, resource]);
  keyed.sort((one, other) => {
    for (let place = 0; place < one.length - 1; place += 1) if (one[place] !== other[place]) return one[place] - other[place];
    return 0;
  });
  return keyed.map((key) => key.at(-1));
}
