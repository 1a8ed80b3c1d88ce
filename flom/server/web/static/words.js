// What is shown, in words.

export function lasting(seconds) {
  if (seconds < 1) return "<1 s";
  const [d, h, m, s] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  if (m) return `${m} min ${s} s`;
  return `${s} s`;
}

export function measure(seconds) {
  if (seconds >= 60) return lasting(seconds);
  if (seconds >= 1) return `${seconds.toPrecision(2)} s`;
  if (seconds >= 0.001) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  return seconds ? "<1 ms" : "0 s";
}

export const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
const nameOf = (hold) => (hold.title ? `${hold.title}, ${hold.id}` : hold.id);
export const who = (lock) => {
  if (lock.hold && lock.hold.left !== null) return `${nameOf(lock.hold)}, ends in ${lasting(lock.hold.left)}`;
  const client = lock.pid !== null ? `pid ${lock.pid}` : lock.uid === null ? lock.address : "a process";
  const converts = lock.converts ? ", which holds it in another mode" : "";
  const shares = lock.shares && lock.shares !== lock.number ? ", shares it" : "";
  const beside = lock.beside?.length ? ` at once with ${lock.beside.join(", ")}` : "";
  return `${lock.command ? `${lock.command}, ` : ""}${client}${lock.in_grace ? ", in grace" : ""}${shares}${converts}${beside}`;
};

export function detail(lock) {
  const process = [lock.pid !== null && `pid ${lock.pid}`, lock.uid !== null && `uid ${lock.uid}`].filter(Boolean);
  const told = [lock.command, lock.user && `user ${lock.user}`].filter(Boolean);
  const more = [lock.peer_id && `machine ${lock.peer_id}`, lock.token && `token ${lock.token}`].filter(Boolean);
  const grace = lock.in_grace ? ["in grace: its connection is broken, and it may come back"] : [];
  const hold = lock.hold ? [`${nameOf(lock.hold)}, a hold without a process, begun on ${lock.hold.host}`] : [];
  return [...told, ...process, lock.address, ...more, ...hold, ...grace].filter(Boolean).join(", ");
}

// The mode, quantity and element of a lock, in a few letters.
export const what = (lock) => [lock.mode, lock.quantity !== null && count(lock.quantity, "unit", "units"), lock.element].filter(Boolean).join(" ");

// The name of a resource: that of its root for a hierarchy, whose nodes are locked under one roof.
export const title = (resource) => (resource.type === "hierarchical" ? `/${resource.name.split("/")[1]}` : resource.name);

// The node of a lock in a hierarchy, if it is not the root.
export const where = (lock, resource) => (lock.name === title(resource) || resource.type !== "hierarchical" ? "" : lock.name);

// What is left of a resource: units, slots or elements.
export function left({ free, type }) {
  if (free === null) return "";
  if (!Array.isArray(free)) return `${count(free, ...(type === "numeric" ? ["unit", "units"] : ["slot", "slots"]))} free`;
  if (!free.length) return "nothing free";
  const few = free.slice(0, 5).join(", ");
  return `free: ${few}${free.length > 5 ? ` and ${free.length - 5} more` : ""}`;
}
