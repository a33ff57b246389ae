// The top of the page: what the run took and cost, which step to change, and what was wasted.

function summaryView(data, go) {
  const { summary, run } = data;
  return [
    notices(run, summary, data),
    figures(summary),
    summary.advice.length ? el("div", { class: "advice" }, summary.advice.map((one) => adviceCard(one, go))) : null,
    criticalBar(summary),
  ];
}

function notices(run, summary, data) {
  const told = [];
  if (run.error) told.push([el("b", {}, said(run.error.type)), ": ", marked(run.error.message || "(text not captured)")]);
  if (run.state === "running") told.push([data.live ? "The run goes on; this page follows it." : "The run had not ended when this was written."]);
  if (run.state === "lost") told.push(["The process of this run is gone without having ended it. `swarmlet resume` goes on from here."]);
  if (run.resumed) told.push([`The run was resumed ${times(run.resumed, "time")}.`]);
  if (run.forked) told.push(["Finished steps were taken from run ", said(run.forked), "."]);
  if (!run.captured) told.push(["Content capture was off: prompts, replies, inputs and outputs are not in the record."]);
  if (data.partial) told.push([`Of this large run, ${number(data.partial)} steps have their details here; \`swarmlet report --full\` keeps all.`]);
  return told.map((words) => el("p", { class: `notice${run.error ? " bad" : ""}` }, words));
}

function figures(summary) {
  const tokens = summary.input + summary.output;
  const list = [
    ["wall time", duration(summary.seconds), null],
    ["cost", usd(summary.usd, summary.unpriced, summary.requests), summary.unpriced && summary.unpriced < summary.requests ? `${times(summary.unpriced, "call")} without a price` : null],
    ["tokens", number(tokens), `${number(summary.input)} in, ${number(summary.output)} out`],
    ["model calls", number(summary.requests), summary.cached ? `${percent(summary.cached, summary.input)} of input cached` : null],
    ["steps", number(summary.steps), null],
  ];
  return el("dl", { class: "figures" }, list.map(([name, value, more]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, el("span", { class: "figure" }, value), more ? el("span", { class: "dim" }, more) : null))));
}

function adviceCard(one, go) {
  return el("article", { class: "card" }, el("h2", {}, one.title), el("p", {}, sentence(one.words)),
    one.node ? button("Show its steps", () => go.node(one.node), { class: "link" }) : null);
}

function criticalBar(summary) {
  if (!Object.keys(summary.split).length) return null;
  return el("div", { class: "card" }, el("h2", {}, "Where the wall time went"),
    el("p", { class: "dim" }, "The critical path: the chain of steps that decided how long the run took."),
    splitBar(summary.split, "Critical path by kind of time"));
}

function nodesView(summary, go) {
  const most = Math.max(...summary.nodes.map((node) => node.saved), 0);
  const rows = summary.nodes.map((node) => el("tr", { hidden: little(node, summary) },
    el("th", { scope: "row" }, button(said(node.name), () => go.node(node.node), { class: "link", title: plain(node.node) })),
    el("td", {}, number(node.steps)),
    el("td", {}, node.critical > 0 ? duration(node.critical) : "–"),
    el("td", {}, node.after === null ? "–" : duration(node.after)),
    el("td", { class: "saves" }, node.saved > 0 ? [el("span", { class: "saves-bar", "aria-hidden": "true", style: { width: `${(60 * node.saved) / most}px` } }),
      node.saved < 0.0005 ? "–" : `−${duration(node.saved)}`] : "–"),
    el("td", {}, node.requests ? (node.unpriced === node.requests ? "not known" : usd(node.usd, node.unpriced, node.requests)) : "–"),
    el("td", {}, node.requests ? number(node.input + node.output) : "–"),
    el("td", {}, node.refed ? number(node.refed) : "–")));
  const heads = [["step", ""], ["ran", "How often"], ["on the path", "Its seconds on the critical path"], ["run without it", "What the run would take if it took no time"],
    ["saves", "The most that making it faster can save"], ["cost", "Of its own calls"], ["tokens", "In and out"], ["re-fed", "Prompt tokens that had been sent before in the run"]];
  const folded = rows.filter((row) => row.hidden);
  const more = folded.length ? button(`Show ${times(folded.length, "step")} that took next to nothing`, () => {
    for (const row of folded) row.hidden = false;
    more.remove();
  }, { class: "link small" }) : null;
  return el("div", {}, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Steps by what changing them would save" }, el("table", { class: "nodes" },
    el("thead", {}, el("tr", {}, heads.map(([head, title]) => el("th", { scope: "col", title }, head)))), el("tbody", {}, rows))), more);
}

function little(node, summary) {
  return summary.nodes.length > 5 && node.saved < summary.seconds / 200 && node.critical < summary.seconds / 200 && !node.requests;
}

function wasteView(summary) {
  const waste = summary.waste.map((one) => el("li", {}, el("h3", {}, one.title), el("p", {}, sentence(one.words))));
  const waits = Object.keys(summary.waits).length
    ? [el("h3", {}, "Waits of all steps"), el("p", { class: "dim" }, "Steps wait beside one another, so this can be more than the wall time."), splitBar(summary.waits, "Waits by kind")]
    : [];
  return [el("ul", { class: "waste" }, waste.length ? waste : el("li", {}, el("p", {}, "Nothing was sent twice, retried or thrown away."))), el("div", {}, waits)];
}
