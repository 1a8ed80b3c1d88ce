// Making nodes, and changing them only where they differ.

export const $ = (id) => document.getElementById(id);

const copy = (id) => $(id).content.firstElementChild.cloneNode(true);

export function draw(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, text) {
  node.hidden = !text;
  say(node, text || "");
}

// One child for each item, copied once for a key, kept in the order of the items.
export function list(parent, items, keyOf, template, update) {
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

export function facts(parent, pairs) {
  list(parent, pairs, ([name]) => name, "fact", (node, [name, value, className]) => {
    node.className = className ?? "";
    say(node.firstChild, name);
    say(node.lastChild, value);
  });
}
