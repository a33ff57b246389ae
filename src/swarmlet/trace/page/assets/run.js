// Puts the page of a run together, and follows it while it goes on.

const DATA = JSON.parse(find("#data").textContent);
let timeline = null;
let search = null;
let panel = null;

const go = {
  row(index, light = false) {
    const row = timeline.tree.rows[index];
    timeline.select(row);
    panel.show(row, !light);
    if (light) return;
    try { history.replaceState(null, "", `#${encodeURIComponent(row.path)}`); } catch { /* within a notebook there is no address */ }
  },
  all() {
    search.input.value = "";
    search.told.textContent = "";
    timeline.tree.filter(null);
  },
  node(node) {
    const rows = timeline.tree.rows.filter((row) => row.node === node);
    const most = rows.reduce((one, other) => (weight(other) > weight(one) ? other : one), rows[0]);
    if (!most) return;
    timeline.tree.filter(rows.map((row) => row.index));
    search.told.textContent = times(rows.length, "step");
    search.input.value = node;
    timeline.refresh();
    go.row(most.index, true);
    timeline.element.scrollIntoView({ block: "start" });
  },
};

function weight(row) {
  return row.critical * 1e6 + (row.end === null ? 0 : row.end - row.begin);
}

function header(data) {
  const { run } = data;
  return el("header", { class: "top" },
    el("div", { class: "title" }, data.live ? el("a", { href: data.live.runs, class: "small" }, "All runs") : null, el("h1", {}, said(run.name)), el("span", { id: "state", role: "status" }, state(run.state))),
    el("p", { class: "dim small" }, `started ${moment(run.started)} · run `, said(run.id), " · ", said(run.node), run.version ? ` · swarmlet ${plain(run.version)}` : ""),
    el("div", { class: "top-tools" }, search.element, themeButton(), button("?", () => find("#help").showModal(), { "aria-label": "Keys" })));
}

function part(id, title, ...content) {
  return el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), ...content);
}

function start() {
  const tree = new Tree(DATA.timeline);
  timeline = new Timeline(tree, DATA.summary.seconds, go);
  search = new Search(tree, DATA, (found) => {
    timeline.tree.filter(found);
    if (found?.length && !found.includes(timeline.selected?.index)) timeline.selected = timeline.tree.rows[found[0]];
    timeline.body.scrollTop = 0;
    timeline.refresh();
  });
  panel = new Panel(DATA, close);
  document.body.append(header(DATA), el("main", {},
    el("section", { id: "summary", "aria-label": "Summary" }, summaryView(DATA, go)),
    part("steps", "What to change", nodesView(DATA.summary, go)),
    part("graph", "Graph", graphView(DATA.graph, go)),
    part("time", "Timeline", timeline.element),
    part("waste", "Waste and waits", wasteView(DATA.summary))), panel.element, helpDialog());
  listen(acts());
  timeline.refresh();
  const row = tree.byPath(addressed());
  if (row) go.row(row.index, true);
  addEventListener("beforeprint", () => timeline.draw(true));
  addEventListener("afterprint", () => timeline.draw());
  if (DATA.live) follow();
}

// The step that the address names.
function addressed() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

function close() {
  panel.hide();
  find("#rows").focus();
}

function acts() {
  return {
    "/": () => { search.input.focus(); search.input.select(); },
    Escape: () => (panel.row ? close() : search.input.value && (search.input.value = "", search.run())),
    "?": () => find("#help").showModal(),
    c: () => timeline.critical(), "+": () => timeline.zoom(0.5), "-": () => timeline.zoom(2), 0: () => timeline.zoom(Infinity),
    z: () => timeline.zoomTo(), t: () => find("#theme").click(),
    ArrowDown: () => find("#rows").focus(), ArrowUp: () => find("#rows").focus(), Enter: () => timeline.selected && go.row(timeline.selected.index, false),
  };
}

// A run that goes on: ask for what is new, and wait as long as the answer took, a second at least.

async function follow() {
  while (DATA.run.state === "running") {
    const asked = performance.now();
    await news();
    const took = performance.now() - asked;
    await new Promise((resume) => { setTimeout(resume, Math.max(1000, took)); });
  }
}

async function news() {
  let told = null;
  try {
    const answer = await fetch(`${DATA.live.poll}?tag=${encodeURIComponent(DATA.live.tag)}`, { cache: "no-store" });
    if (answer.status === 200) told = await answer.json();
  } catch { /* the server has gone; the page stays as it is */ }
  if (told) renew(told);
}

function renew(told) {
  Object.assign(DATA, told);
  const old = timeline.tree;
  const tree = new Tree(DATA.timeline);
  for (const row of old.rows) {
    const now = row.parts ? tree.byPath(row.path) : null;
    if (now) tree.toggle(now, old.open.has(row.index));
  }
  const whole = timeline.to >= timeline.seconds;
  timeline.tree = tree;
  timeline.seconds = DATA.summary.seconds || 1e-6;
  if (whole) timeline.to = timeline.seconds;
  timeline.selected = (timeline.selected && tree.byPath(timeline.selected.path)) ?? tree.rows[0];
  search.tree = tree;
  if (search.input.value) search.run();
  else timeline.refresh();
  find("#summary").replaceChildren(...summaryView(DATA, go).flat(Infinity).filter(Boolean));
  find("#steps").lastElementChild.replaceWith(nodesView(DATA.summary, go));
  find("#graph").lastElementChild.replaceWith(graphView(DATA.graph, go));
  const waste = find("#waste");
  waste.replaceChildren(waste.firstElementChild, ...wasteView(DATA.summary));
  find("#state").replaceChildren(state(DATA.run.state));
  const looked = panel.row;
  const now = looked && tree.byPath(looked.path);
  if (now && (now.state !== looked.state || now.requests !== looked.requests || now.tools !== looked.tools)) panel.show(now, false);
  else panel.row = now;
}

start();
