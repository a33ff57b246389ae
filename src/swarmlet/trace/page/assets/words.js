// Numbers and kinds in words.

const KINDS = {
  model: ["model", "a model answers"],
  first_token: ["first token", "until the first piece of a streamed reply"],
  tool: ["tool", "a tool runs"],
  own: ["own code", "the step's own Python"],
  person: ["person", "waits for a person"],
  retry: ["retry", "waits before the next attempt"],
  limit: ["limit", "waits for requests or tokens per minute"],
  budget: ["budget", "waits until a budget has room"],
  concurrency: ["concurrency", "waits for a place under concurrency="],
  queue: ["queue", "ready, but the event loop was busy"],
  swarmlet: ["swarmlet", "between steps"],
  lost: ["lost", "done by a process that was lost, and again"],
  away: ["away", "no process had the run"],
};

const MARKS = {
  finished: "✓", failed: "✗", running: "▸", cancelled: "⊘", drained: "◌", suspended: "⏸", lost: "☓",
};

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 0.0005) return seconds > 0 ? "< 1 ms" : "0 s";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.round(seconds) % 60).padStart(2, "0")} s`;
  return `${number(Math.floor(minutes / 60))} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function number(count) {
  return Math.round(count).toLocaleString("en");
}

function usd(amount, unpriced = 0, requests = 0, exact = 2) {
  if (unpriced && unpriced === requests) return "price not known";
  const more = unpriced ? "> " : "";
  if (!amount) return `${more}$0`;
  const digits = Math.min(Math.max(2, exact - Math.floor(Math.log10(amount))), 9);
  return `${more}$${amount.toFixed(digits)}`;
}

function percent(part, whole) {
  const share = whole ? (100 * part) / whole : 0;
  return share > 0 && share < 1 ? "< 1 %" : `${Math.round(share)} %`;
}

function times(count, what, many = `${what}s`) {
  return `${number(count)} ${count === 1 ? what : many}`;
}

function moment(at) {
  const when = new Date(at * 1000);
  const two = (value) => String(value).padStart(2, "0");
  const day = `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
  return `${day} ${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
}

// Sentences come as lists: plain texts, and lists of one text that is stressed.
function sentence(words) {
  return words.map((word) => (Array.isArray(word) ? el("strong", {}, said(word[0].replaceAll(/(\d) /g, "$1\u00a0"))) : marked(word)));
}

function state(name, properties = {}) {
  return el("span", { class: `state ${name}`, ...properties }, el("span", { "aria-hidden": "true" }, MARKS[name] ?? "?"), ` ${name}`);
}

function swatch(kind) {
  return el("span", { class: `swatch k-${kind}`, "aria-hidden": "true" });
}

// A bar of kinds, with a legend that says the same in words.
function splitBar(split, label) {
  const entries = Object.entries(split).sort((one, other) => other[1] - one[1]);
  const whole = entries.reduce((sum, [, seconds]) => sum + seconds, 0);
  const bar = el("div", { class: "split-bar", "aria-hidden": "true" }, entries.map(([kind, seconds]) =>
    el("span", { class: `k-${kind}`, style: { "flex-grow": String(seconds / (whole || 1)) } })));
  const rows = entries.filter(([, seconds]) => seconds >= whole / 1000).map(([kind, seconds]) =>
    el("li", { title: KINDS[kind]?.[1] }, swatch(kind), ` ${KINDS[kind]?.[0] ?? kind} `,
      el("b", {}, duration(seconds)), el("span", { class: "dim" }, ` ${percent(seconds, whole)}`)));
  return el("div", { class: "split" }, bar, el("ul", { class: "legend", "aria-label": label }, rows));
}
