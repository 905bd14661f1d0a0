// The few ways in which the page touches the document. Names come from events, so text is set as text, never as markup.

/** An element with properties, listeners (`on`) and children. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [type, listener] of Object.entries(value)) node.addEventListener(type, listener);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const $ = (id) => document.getElementById(id);

/** Set text only where it changed, so that nothing is laid out again for nothing. */
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** Set or remove an attribute only where it changed. */
export function attr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Show or hide, only where that changes something. */
export function shown(node, isShown) {
  if (node.hidden === isShown) node.hidden = !isShown;
}

/** The colour or the length of a bar, as a custom property. */
export function style(node, name, value) {
  if (node.style.getPropertyValue(name) !== String(value)) node.style.setProperty(name, value);
}

/** Keep one child per item, made once and updated in place, in the items' order. */
export function keyed(parent, items, keyOf, make, update) {
  const kept = (parent.kept ??= new Map());
  const wanted = new Set();
  let place = null;
  for (const item of items) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    if (!kept.has(key)) kept.set(key, make(item));
    const node = kept.get(key);
    const next = place === null ? parent.firstElementChild : place.nextElementSibling;
    if (next !== node) parent.insertBefore(node, next);
    update?.(node, item);
    place = node;
  }
  for (const [key, node] of kept) {
    if (wanted.has(key)) continue;
    node.remove();
    kept.delete(key);
  }
}

/** A line over equidistant values as the path of an SVG of 100 × 20. */
export function sparkPath(values, low, high) {
  const span = high - low || 1;
  let path = "", pen = "M";
  values.forEach((value, index) => {
    if (value === null || value === undefined) { pen = "M"; return; }
    path += `${pen}${((100 * index) / Math.max(values.length - 1, 1)).toFixed(1)} ${(20 - (20 * (value - low)) / span).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

/** A small line without axes; its figures are beside it as text. */
export function spark() {
  const space = "http://www.w3.org/2000/svg";
  const node = document.createElementNS(space, "svg");
  for (const [name, value] of [["class", "spark"], ["viewBox", "0 0 100 20"], ["preserveAspectRatio", "none"], ["aria-hidden", "true"]]) node.setAttribute(name, value);
  node.append(document.createElementNS(space, "path"), document.createElementNS(space, "line"));
  return node;
}

/** Draw values, from zero up or between their ends; where there is a limit, as a dashed line. */
export function drawSpark(node, values, limit = null, fromZero = true) {
  const known = values.filter((value) => value !== null && value !== undefined);
  const top = Math.max(...known, limit ?? -Infinity), least = Math.min(...known);
  const bottom = !known.length || fromZero ? Math.min(0, least) : least - (top - least || 1) * 0.1;
  const high = known.length ? top + (top - bottom || 1) * 0.1 : 1;
  attr(node.firstChild, "d", sparkPath(values, bottom, high));
  const at = limit === null || !known.length ? null : (20 - (20 * (limit - bottom)) / (high - bottom)).toFixed(1);
  for (const [name, value] of [["x2", at === null ? 0 : 100], ["y1", at ?? 0], ["y2", at ?? 0]]) attr(node.lastChild, name, value);
}
