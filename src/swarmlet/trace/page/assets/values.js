// Recorded texts, as they are: in a box of their own, what is hidden marked, what is long folded.

const AT_ONCE = 20000;
const LINES = 400;

function textBox(value, label) {
  if (value === undefined || value === null) return el("p", { class: "dim" }, "not captured");
  if (value.missing) return el("p", { class: "dim" }, "not in the journal any more");
  const box = el("div", { class: "value" });
  if (value.role) box.append(el("span", { class: "role" }, said(value.role)));
  if (value.text || !value.more) box.append(folded(value.text, label));
  if (value.length) box.append(el("p", { class: "dim small" }, `Cut: the first ${number(value.text.length)} of ${number(value.length)} characters. \`swarmlet report --full\` keeps all.`));
  if (value.more) box.append(textBox(value.more, `${label}, more`));
  return box;
}

function folded(text, label) {
  const first = ending(text, 0);
  const pre = el("pre", { tabindex: "0", dir: "auto", role: "group", "aria-label": label }, text ? marked(text.slice(0, first)) : el("span", { class: "dim" }, "(empty)"));
  if (first >= text.length) return pre;
  let upTo = first;
  const more = button("", () => {
    const next = ending(text, upTo, AT_ONCE * 10, LINES * 20);
    pre.append(marked(text.slice(upTo, next)));
    upTo = next;
    tell();
  }, { class: "link" });
  const tell = () => {
    more.textContent = `Show more (${number(text.length - upTo)} characters)`;
    more.hidden = upTo >= text.length;
  };
  tell();
  return el("div", {}, pre, more);
}

// Where a piece of the text ends: after so many characters or lines.
function ending(text, from, most = AT_ONCE, lines = LINES) {
  let at = from;
  for (let line = 0; line < lines; line += 1) {
    const next = text.indexOf("\n", at);
    if (next < 0 || next - from > most) return Math.min(text.length, from + most);
    at = next + 1;
  }
  return at;
}
