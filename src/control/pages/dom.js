// Makes elements, and writes numbers as people read them. Texts become text nodes, never markup.
const SVG = "http://www.w3.org/2000/svg";

function filled(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (name === "value" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

export const el = (name, props, ...children) => filled(document.createElement(name), props, children);
export const svg = (name, props, ...children) => filled(document.createElementNS(SVG, name), props, children);

// Puts other children into a node. Who had the focus keeps it, by the id.
export function fill(node, ...children) {
  const had = document.activeElement;
  const id = had && had !== node && node.contains(had) ? had.id : "";
  node.replaceChildren();
  add(node, children);
  if (id) document.getElementById(id)?.focus({ preventScroll: true });
}

// Writes a text only where it is another, so that nobody hears the same again.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// An id that any name can be made to.
export const idOf = (...parts) => parts.map((part) => encodeURIComponent(part).replace(/%/g, "_")).join("-");

export const NONE = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);

export const count = (value) => (known(value) ? Math.round(value).toLocaleString("en").replace(/,/g, "\u202f") : NONE);
export const rate = (value) => (known(value) ? (value >= 100 ? count(value) : value.toFixed(value >= 10 ? 1 : 2)) + "/s" : NONE);
export const part = (value) => (known(value) ? (value * 100).toFixed(value && value < 0.0995 ? 1 : 0) + " %" : NONE);
export const percent = (value) => (known(value) ? String(Number(value.toFixed(4))) + " %" : NONE);
export const points = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + (Math.abs(value) * 100).toFixed(1) + " %";
export function ms(value) {
  if (!known(value)) return NONE;
  if (value >= 9950) return (value / 1000).toFixed(0) + " s";
  return value >= 995 ? (value / 1000).toFixed(1) + " s" : value.toFixed(0) + " ms";
}
export const usd = (value) => (known(value) ? "$" + (value >= 1 ? value.toFixed(2) : value.toPrecision(2)) : NONE);
export function ago(at) {
  const then = typeof at === "number" ? at : Date.parse(at);
  if (!Number.isFinite(then)) return "";
  const s = Math.max(0, Math.round((Date.now() - then) / 1000));
  if (s < 90) return s + " s ago";
  if (s < 5400) return Math.round(s / 60) + " min ago";
  return s < 129600 ? Math.round(s / 3600) + " h ago" : Math.round(s / 86400) + " days ago";
}
export function clock(at) {
  const time = new Date(at);
  const two = (number) => String(number).padStart(2, "0");
  if (Number.isNaN(time.getTime())) return String(at);
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

export const when = (at) => el("time", { datetime: new Date(at).toISOString?.() ?? "", title: clock(at) }, ago(at));
export const chip = (kind, ...text) => el("span", { class: "chip " + kind }, ...text);
export const sheet = (title, ...inside) => el("section", { class: "sheet" }, el("header", {}, title), ...inside);
export const head = (title, text, ...more) => el("div", { class: "head" }, el("div", {}, el("h1", {}, title), el("p", {}, text)), ...more);
export const field = (label, input) => {
  input.id ||= idOf("f", label);
  return el("div", { class: "field" }, el("label", { for: input.id }, label), input);
};
// A table that becomes cards where there is no room.
export function table(columns, rows) {
  const heads = columns.map(([name, kind]) => el("th", { class: kind, scope: "col" }, name));
  const cells = (row) => row.map((cell, at) => el("td", { class: columns[at][1], "data-name": columns[at][0] }, cell instanceof Node ? cell : el("span", {}, cell)));
  return el("div", { class: "wide" }, el("table", { class: "cards" }, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows.map((row) => el("tr", {}, cells(row))))));
}
