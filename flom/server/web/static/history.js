// What came and went while this page was open. A lock that came and went between two looks was not seen.

import { $, list, say, show } from "./nodes.js";
import { lasting, title, what, where, who } from "./words.js";

const KEPT = 1000; // events, of all resources
const SHOWN = 50;

let before = null; // the locks of the last look, by their numbers
let events = []; // the latest first
let counted = 0;

function note(now, resource, lock, text) {
  counted += 1;
  const node = where(lock, resource);
  const name = [who(lock), what(lock), node].filter(Boolean).join(" ");
  events.unshift({ number: counted, time: now, title: title(resource), text: `${name} ${text}` });
}

// Compare what is held and waited for with the look before.
export function remember(status) {
  const present = new Map();
  for (const resource of status.resources) {
    for (const lock of resource.holders) present.set(lock.number, { resource, lock, isHeld: true });
    for (const lock of resource.waiters) present.set(lock.number, { resource, lock, isHeld: false });
  }
  const now = new Date(status.daemon.now * 1000);
  if (before !== null) {
    for (const [number, { resource, lock, isHeld }] of before) {
      const found = present.get(number);
      if (found && isHeld === found.isHeld) continue;
      if (found) note(now, resource, found.lock, `is granted after ${lasting(lock.seconds)}`);
      else note(now, resource, lock, isHeld ? `has ended after ${lasting(lock.seconds)}` : `has left the queue after ${lasting(lock.seconds)}`);
    }
    for (const [number, { resource, lock, isHeld }] of present) {
      if (!before.has(number)) note(now, resource, lock, isHeld ? "is granted at once" : "waits");
    }
  }
  before = present;
  events = events.slice(0, KEPT);
}

// The daemon is another one, or was not there: numbers may mean something else.
export function forget() {
  before = null;
}

export function showHistory(name) {
  const found = events.filter((event) => event.title === name).slice(0, SHOWN);
  list($("history"), found, (event) => event.number, "event", (node, event) => {
    const [time, text] = node.children;
    say(time, event.time.toLocaleTimeString("en-GB"));
    say(text, event.text);
  });
  show($("no-history"), found.length ? "" : "Nothing has changed since this page was opened.");
}
