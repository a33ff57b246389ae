// The graph as a drawing. Boxes come with their positions.

function graphView(graph, go) {
  const arrows = [...graph.arrows].sort((one, other) => one.critical - other.critical).map((arrow) => svg("path", { d: curve(arrow.points), class: arrow.critical ? "arrow critical" : "arrow", "marker-end": `url(#head${arrow.critical ? "-critical" : ""})` }));
  const boxes = graph.boxes.map((box) => (box.frame ? frame(box) : null));
  const nodes = graph.boxes.map((box) => (box.frame ? null : node(box, go)));
  const drawing = svg("svg", { width: graph.width + 4, height: graph.height + 4, viewBox: `-2 -2 ${graph.width + 4} ${graph.height + 4}`, role: "group", "aria-label": "The graph",
    style: { width: `min(${graph.width + 4}px, max(100%, ${0.7 * graph.width}px))`, height: "auto" } },
    svg("defs", {}, head("head"), head("head-critical")), boxes.filter(Boolean), arrows, nodes.filter(Boolean));
  return el("div", {},
    el("div", { class: "scroll drawing", tabindex: "0", role: "region", "aria-label": "Drawing of the graph" }, drawing),
    el("p", { class: "dim small" }, "Thick: on the critical path. ", graph.planned ? "Arrows: what takes something from what; those that a longer way implies are left out." : "No plan is recorded with this run: arrows show the order in which steps ran."));
}

function head(id) {
  return svg("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto", class: id }, svg("path", { d: "M0 0 8 4 0 8z" }));
}

function curve([x, y, u, v]) {
  const bend = Math.max(20, Math.abs(u - x) / 2);
  return `M${x} ${y}C${x + bend} ${y} ${u - bend} ${v} ${u - 3} ${v}`;
}

function frame(box) {
  return svg("g", { class: `frame${box.critical > 0 ? " critical" : ""}` }, svg("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: 8 }),
    svg("text", { x: box.x + 12, y: box.y + 19 }, fitted(box.name, box.width - 90), svg("tspan", { class: "dim", dx: 8 }, [box.what, box.copies > 1 ? `×${number(box.copies)}` : ""].filter(Boolean).join(" "))));
}

function node(box, go) {
  const worst = ["failed", "lost", "running", "suspended", "drained", "cancelled", "finished"].find((name) => box.states[name]) ?? "none";
  const ran = box.steps > 1 ? ` ×${number(box.steps)}` : "";
  const cost = [box.steps || box.hidden ? (box.steps > 1 ? "Σ " : "") + duration(box.seconds) : "not run", box.usd ? usd(box.usd, 0, 0, 1) : "", box.hidden ? times(box.hidden, "part") : ""].filter(Boolean).join(" · ");
  const states = Object.entries(box.states).map(([name, count]) => `${number(count)} ${name}`).join(", ");
  const label = plain(`${box.name}: ${states || "not run"}${box.critical > 0 ? "; on the critical path" : ""}`);
  const open = () => box.row >= 0 && go.row(box.row);
  return svg("g", {
    class: `node ${worst}${box.critical > 0 ? " critical" : ""}`, tabindex: "0", role: "button", "aria-description": label,
    on: { click: open, keydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); open(); } } },
  }, svg("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: 8 }),
    svg("text", { x: box.x + 12, y: box.y + 22, class: "name" }, `${MARKS[worst] ?? "·"} `, fitted(box.name, box.width - 34 - 7 * ran.length), svg("tspan", { class: "dim" }, ran)),
    svg("text", { x: box.x + 12, y: box.y + 40, class: "dim" }, cost));
}

function fitted(name, width) {
  const letters = [...plain(name)];
  const most = Math.max(4, Math.floor(width / 7.4));
  return letters.length <= most ? letters.join("") : `${letters.slice(0, most - 1).join("")}…`;
}
