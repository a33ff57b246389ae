// Makes elements. Recorded text gets into the page here and nowhere else, and only as text nodes.

const SVG = "http://www.w3.org/2000/svg";

function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (name === "style") for (const [key, item] of Object.entries(value)) element.style.setProperty(key, item);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function find(selector, root = document) {
  return root.querySelector(selector);
}

// What a reader would not see, or what would turn the text around it: shown by its number.
// Control characters, soft hyphens, zero-width ones, bidi controls, halves of pairs, tags.
const HIDDEN = new RegExp(
  "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f" +
    "\\ufeff\\ufff9-\\ufffb]|[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]|\\udb40[\\udc00-\\udc7f]",
  "g",
);

function codePoint(text) {
  return "U+" + text.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
}

// Text as nodes: what is hidden in it is marked.
function marked(text) {
  const found = document.createDocumentFragment();
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > from) found.append(text.slice(from, match.index));
    found.append(el("span", { class: "hidden-mark" }, codePoint(match[0])));
    from = match.index + match[0].length;
  }
  if (from < text.length) found.append(text.slice(from));
  return found;
}

// The same without elements, for titles and labels.
function plain(text) {
  return text.replace(HIDDEN, codePoint);
}

// A recorded name within a line of ours: it cannot turn what is around it.
function said(text, properties = {}) {
  return el("bdi", properties, marked(String(text).replaceAll("\n", "\\n")));
}

function button(label, act, properties = {}) {
  return el("button", { type: "button", ...properties, on: { click: act } }, label);
}
