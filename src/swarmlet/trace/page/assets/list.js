// The list of runs of a journal: asks its server, again and again.

const DATA = JSON.parse(find("#data").textContent);
const STATES = ["running", "finished", "failed", "cancelled", "drained", "suspended", "lost"];
const asked = { limit: 100 };
let shown = "";

function field(label, input) {
  return el("label", {}, label, input);
}

function control(name, properties) {
  return el("input", { ...properties, name, on: { input: () => { asked[name] = find(`[name=${name}]`).value; ask(); } } });
}

function start() {
  const states = el("select", { name: "state", on: { change: () => { asked.state = find("[name=state]").value; ask(); } } },
    el("option", { value: "" }, "any"), STATES.map((name) => el("option", { value: name }, name)));
  document.body.append(
    el("header", { class: "top" }, el("div", { class: "title" }, el("h1", {}, "Runs")), el("p", { class: "dim small" }, "of the journal ", said(DATA.journal)),
      el("div", { class: "top-tools" }, themeButton(), button("?", () => find("#help").showModal(), { "aria-label": "Keys" }))),
    el("main", {},
      el("form", { class: "filters", "aria-label": "Which runs", on: { submit: (event) => event.preventDefault() } },
        field("graph", control("name", { type: "text", placeholder: "any", autocomplete: "off" })), field("state", states),
        field("at least, seconds", control("seconds", { type: "number", min: "0", step: "any" })), field("at least, USD", control("usd", { type: "number", min: "0", step: "any" })),
        field("started since", control("since", { type: "date" }))),
      el("p", { id: "told", class: "dim small", role: "status" }), el("div", { id: "runs", class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs, newest first" }),
      button("Show older runs", () => { asked.limit += 200; ask(); }, { id: "older", hidden: true })),
    helpDialog([["/", "which graph"], ["t", "light or dark"], ["?", "this help"]]));
  listen({ "/": () => find("[name=name]").focus(), "?": () => find("#help").showModal(), t: () => find("#theme").click() });
  follow();
}

async function follow() {
  for (;;) {
    const began = performance.now();
    await ask();
    const took = performance.now() - began;
    await new Promise((resume) => { setTimeout(resume, Math.max(2000, 4 * took)); });
  }
}

async function ask() {
  const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== ""));
  if (asked.since) query.set("since", String(new Date(`${asked.since}T00:00`).getTime() / 1000));
  const before = query.toString();
  try {
    const answer = await fetch(`${DATA.runs}?${query}`, { cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.json()).error);
    const told = await answer.text();
    if (told + before !== shown) show(JSON.parse(told));
    shown = told + before;
  } catch (error) {
    find("#told").textContent = `The server does not answer: ${plain(String(error.message))}`;
  }
}

function show(told) {
  const heads = ["graph", "state", "started", "time", "steps", "calls", "tokens", "cost", "id"];
  const rows = told.runs.map((run) => el("tr", {},
    el("th", { scope: "row" }, el("a", { href: `${DATA.run}${encodeURIComponent(run.id)}/` }, said(run.name))), el("td", {}, state(run.state)),
    el("td", {}, moment(run.started_at)), el("td", {}, duration(run.seconds)), el("td", {}, number(run.steps)), el("td", {}, number(run.usage.requests)),
    el("td", {}, number(run.usage.input_tokens + run.usage.output_tokens)), el("td", {}, usd(Number(run.usage.usd), run.usage.unpriced_requests, run.usage.requests)), el("td", { class: "dim" }, said(run.id))));
  find("#runs").replaceChildren(el("table", { class: "runs" }, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, rows)));
  find("#told").textContent = rows.length ? `${times(rows.length, "run")}${told.more ? ", and older ones" : ""}` : "There is no such run.";
  find("#older").hidden = !told.more;
}

start();
