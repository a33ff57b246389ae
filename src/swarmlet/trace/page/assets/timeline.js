// The timeline: a bar for each step. Only the rows in sight are in the page, however many there are.

const ROW = 30;
const BEYOND = 6;

class Timeline {
  constructor(tree, seconds, go) {
    this.tree = tree;
    this.seconds = seconds || 1e-6;
    this.from = 0;
    this.to = this.seconds;
    this.go = go;
    this.selected = tree.rows[0] ?? null;
    this.build();
    this.refresh();
  }

  build() {
    this.axis = el("div", { class: "axis", "aria-hidden": "true" });
    this.space = el("div", { class: "space", role: "rowgroup" });
    this.body = el("div", {
      class: "rows", id: "rows", role: "treegrid", tabindex: "0", "aria-label": "Steps of the run", "aria-colcount": "4",
      on: { scroll: () => this.draw(), keydown: (event) => this.key(event), wheel: (event) => this.wheel(event) },
    }, this.space);
    const tools = el("div", { class: "tools" },
      button("Open all", () => this.openAll(true)), button("Close all", () => this.openAll(false)),
      button("Critical path", () => this.critical(), { title: "Go along the critical path (c)" }),
      el("span", { class: "gap" }),
      button("−", () => this.zoom(2), { "aria-label": "Zoom out" }), button("+", () => this.zoom(0.5), { "aria-label": "Zoom in" }),
      button("Whole run", () => this.zoom(Infinity)), button("This step", () => this.zoomTo()));
    const head = el("div", { class: "row heads", "aria-hidden": "true" }, el("span", {}, "step"), el("span", { class: "num" }, "time"), el("span", { class: "num" }, "cost"), this.axis);
    const used = new Set(this.tree.rows.slice(0, 20000).flatMap((row) => row.pieces.filter((_, place) => place % 3 === 2)));
    const legend = el("ul", { class: "legend", "aria-label": "Kinds of time" }, this.tree.kinds.map((kind, place) => used.has(place)
      ? el("li", { title: KINDS[kind][1] }, swatch(kind), ` ${KINDS[kind][0]}`) : null), el("li", {}, el("span", { class: "swatch leg-swatch", "aria-hidden": "true" }), " critical path"));
    this.element = el("div", { class: "timeline" }, tools, legend, el("div", { class: "grid" }, head, this.body));
    new ResizeObserver(() => this.draw()).observe(this.body);
  }

  refresh() {
    this.shown = this.tree.shown();
    this.places = new Map(this.shown.map((row, place) => [row.index, place]));
    this.space.style.setProperty("height", `${this.shown.length * ROW}px`);
    this.body.style.setProperty("height", `min(72vh, ${this.shown.length * ROW + 2}px)`);
    this.body.setAttribute("aria-rowcount", String(this.shown.length));
    this.ticks();
    this.draw();
  }

  draw(all = false) {
    const high = this.body.clientHeight || 600;
    const first = all ? 0 : Math.max(0, Math.floor(this.body.scrollTop / ROW) - BEYOND);
    const last = all ? Math.min(this.shown.length, 1000) : Math.min(this.shown.length, Math.ceil((this.body.scrollTop + high) / ROW) + BEYOND);
    const rows = [];
    for (let place = first; place < last; place += 1) rows.push(this.row(this.shown[place], place));
    this.space.replaceChildren(...rows);
    this.mark();
  }

  mark() {
    const place = this.selected ? this.places.get(this.selected.index) : undefined;
    const there = place !== undefined && document.getElementById(`row-${this.selected.index}`);
    if (there) this.body.setAttribute("aria-activedescendant", there.id);
    else this.body.removeAttribute("aria-activedescendant");
  }

  row(row, place) {
    const critical = this.tree.legs.has(row.index);
    const open = this.tree.only ? true : this.tree.open.has(row.index);
    const took = row.seconds ?? (row.begin === null || row.end === null ? null : row.end - row.begin);
    const label = el("span", { class: "label", role: "gridcell", style: { "padding-left": `${Math.min(row.depth, 12) * 14 + 6}px` } },
      el("span", { class: `twist${row.parts ? (open ? " open" : "") : " none"}`, "aria-hidden": "true", on: { click: (event) => { event.stopPropagation(); this.toggle(row); } } }),
      el("span", { class: `mark ${row.state}`, title: row.state, "aria-hidden": "true" }, MARKS[row.state]),
      el("span", { class: "name", title: plain(row.path) }, said(row.label)),
      this.badges(row, open));
    return el("div", {
      class: `row${critical ? " critical" : ""}${row === this.selected ? " selected" : ""}`, role: "row", id: `row-${row.index}`, style: { transform: `translateY(${place * ROW}px)` },
      "aria-level": row.depth + 1, "aria-rowindex": place + 1, "aria-expanded": row.parts ? String(open) : null, "aria-selected": String(row === this.selected),
      "aria-label": plain(`${row.label}, ${row.state}, ${duration(took)}${row.usd ? `, ${usd(row.usd)}` : ""}${critical ? ", on the critical path" : ""}`),
      on: { click: () => { this.select(row); this.go.row(row.index, true); } },
    }, label, el("span", { class: "num", role: "gridcell" }, row.state === "running" ? `${duration(took)}…` : duration(took)),
      el("span", { class: "num", role: "gridcell" }, row.usd ? usd(row.usd) : ""), this.bar(row));
  }

  badges(row, open) {
    const told = [];
    if (row.parts && !open) told.push(el("span", { class: "badge" }, number(row.steps)));
    if (row.retries) told.push(el("span", { class: "badge warn", title: times(row.retries, "retry", "retries") }, `↻${row.retries}`));
    if (row.tools) told.push(el("span", { class: "badge", title: times(row.tools, "tool call") }, `⚒${row.tools}`));
    if (row.error) told.push(el("span", { class: "badge bad" }, said(row.error)));
    return told;
  }

  bar(row) {
    const bar = el("span", { class: "bar", role: "gridcell", "aria-label": this.told(row) });
    if (row.begin === null) return bar;
    if (row.parts) bar.append(this.piece(row.begin, row.end, "whole", null));
    for (let at = 0; at < row.pieces.length; at += 3) {
      const kind = this.tree.kinds[row.pieces[at + 2]];
      bar.append(this.piece(row.pieces[at], row.pieces[at + 1], `k-${kind}`, kind) ?? "");
    }
    for (const [begin, end] of this.tree.legs.get(row.index) ?? []) bar.append(this.piece(begin, end, "leg", null) ?? "");
    return bar;
  }

  piece(begin, end, name, kind) {
    if (end < this.from || begin > this.to) return "";
    const wide = this.to - this.from;
    const left = (100 * (Math.max(begin, this.from) - this.from)) / wide;
    const width = (100 * (Math.min(end, this.to) - Math.max(begin, this.from))) / wide;
    const title = kind ? `${KINDS[kind][0]}: ${duration(end - begin)}, from ${duration(begin)} on` : null;
    return el("i", { class: name, title, style: { left: `${left}%`, width: `${width}%` } });
  }

  told(row) {
    const sums = new Map();
    for (let at = 0; at < row.pieces.length; at += 3) {
      const kind = this.tree.kinds[row.pieces[at + 2]];
      sums.set(kind, (sums.get(kind) ?? 0) + row.pieces[at + 1] - row.pieces[at]);
    }
    return [...sums].map(([kind, seconds]) => `${KINDS[kind][0]} ${duration(seconds)}`).join(", ") || "group";
  }

  ticks() {
    const wide = this.to - this.from;
    const step = tickStep(wide, this.axis.clientWidth > 500 || !this.axis.clientWidth ? 8 : 4);
    const marks = [];
    for (let at = Math.ceil(this.from / step) * step; at < this.to - wide / 40; at += step) {
      marks.push(el("span", { style: { left: `${(100 * (at - this.from)) / wide}%` } }, at === 0 ? "0" : tick(at, step)));
    }
    this.axis.replaceChildren(...marks);
  }

  // Moving about

  select(row, scroll = true) {
    this.selected = row;
    if (!this.places.has(row.index)) {
      this.go.all();
      this.tree.reveal(row);
      this.refresh();
    }
    const top = this.places.get(row.index) * ROW;
    if (scroll && top < this.body.scrollTop) this.body.scrollTop = top;
    if (scroll && top + ROW > this.body.scrollTop + this.body.clientHeight) this.body.scrollTop = top + ROW - this.body.clientHeight;
    this.draw();
  }

  toggle(row, open) {
    this.tree.toggle(row, open);
    this.refresh();
  }

  openAll(open) {
    this.tree.open = new Set(open ? this.tree.rows.filter((row) => row.parts).map((row) => row.index) : [0]);
    if (this.selected && !open) this.selected = this.tree.rows[0];
    this.refresh();
  }

  critical() {
    const order = [...this.tree.legs].flatMap(([row, legs]) => legs.map(([begin]) => [begin, row])).sort((one, other) => one[0] - other[0]).map(([, row]) => row);
    if (!order.length) return;
    const at = order.indexOf(this.selected?.index);
    const next = this.tree.rows[order[(at + 1) % order.length]];
    this.select(next);
    this.go.row(next.index, true);
  }

  zoom(factor) {
    const wide = Math.min(this.seconds, Math.max((this.to - this.from) * factor, this.seconds / 5000));
    const row = this.selected;
    const middle = row && row.begin !== null && factor < 1 ? Math.min(Math.max((row.begin + row.end) / 2, this.from), this.to) : (this.from + this.to) / 2;
    this.range(middle - wide / 2, wide);
  }

  zoomTo() {
    const row = this.selected;
    if (!row || row.begin === null) return;
    const wide = Math.max((row.end - row.begin) * 1.1, this.seconds / 5000);
    this.range((row.begin + row.end - wide) / 2, wide);
  }

  range(from, wide) {
    this.from = Math.max(0, Math.min(from, this.seconds - wide));
    this.to = Math.min(this.seconds, this.from + wide);
    this.refresh();
  }

  wheel(event) {
    if (event.ctrlKey) {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8);
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const wide = this.to - this.from;
      if (wide >= this.seconds) return;
      event.preventDefault();
      this.range(this.from + ((event.deltaX || event.deltaY) / 800) * wide, wide);
    }
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.selected) return;
    const row = this.selected;
    const place = this.places.get(row.index) ?? 0;
    const to = (next) => next && this.select(next);
    const open = this.tree.open.has(row.index);
    const acts = {
      ArrowDown: () => to(this.shown[place + 1]), ArrowUp: () => to(this.shown[place - 1]),
      PageDown: () => to(this.shown[Math.min(place + 15, this.shown.length - 1)]), PageUp: () => to(this.shown[Math.max(place - 15, 0)]),
      Home: () => to(this.shown[0]), End: () => to(this.shown[this.shown.length - 1]),
      ArrowRight: () => (row.parts && !open ? this.toggle(row, true) : row.parts && to(this.shown[place + 1])),
      ArrowLeft: () => (row.parts && open && !this.tree.only ? this.toggle(row, false) : to(row.above)),
      Enter: () => this.go.row(row.index, false), " ": () => row.parts && this.toggle(row),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  }
}

function tickStep(wide, most) {
  const power = 10 ** Math.floor(Math.log10(wide / most));
  return [1, 2, 5, 10].map((one) => one * power).find((step) => wide / step <= most) ?? 10 * power;
}

function tick(at, step) {
  if (step >= 60) return duration(at);
  if (step >= 1) return `${Math.round(at)} s`;
  if (step >= 0.001) return at < 1 ? `${Math.round(at * 1000)} ms` : `${at.toFixed(Math.max(0, Math.ceil(-Math.log10(step))))} s`;
  return `${(at * 1000).toFixed(2)} ms`;
}
