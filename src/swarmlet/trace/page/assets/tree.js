// The steps as a tree: which rows there are, which are open, and which are shown. Rows stand parents first.

class Tree {
  constructor(timeline) {
    this.kinds = timeline.kinds;
    this.rows = timeline.rows.map((values, index) => {
      const row = { index };
      timeline.columns.forEach((column, place) => { row[column] = values[place]; });
      row.state = timeline.states[row.state];
      row.node = timeline.nodes[row.node];
      return row;
    });
    this.link();
    this.legs = new Map();
    for (const [row, begin, end] of timeline.legs) {
      if (!this.legs.has(row)) this.legs.set(row, []);
      this.legs.get(row).push([begin, end]);
    }
    this.open = new Set();
    this.only = null;
    this.unfold();
  }

  link() {
    const chain = [];
    for (const row of this.rows) {
      chain.length = row.depth;
      row.above = row.depth ? chain[row.depth - 1] : null;
      row.path = (row.above ? row.above.path : "") + row.name;
      row.label = row.name.startsWith("/") ? row.name.slice(1) : row.name;
      row.parts = 0;
      row.last = row.index;
      if (row.above) row.above.parts += 1;
      chain.push(row);
    }
    for (let index = this.rows.length - 1; index > 0; index -= 1) {
      const row = this.rows[index];
      if (row.above) row.above.last = Math.max(row.above.last, row.last);
    }
  }

  // At first as much is open as can be looked at, the outer levels first.
  unfold() {
    let shown = 1;
    let level = this.rows.slice(0, 1);
    while (level.length) {
      const next = [];
      for (const row of level) {
        if (!row.parts || shown + row.parts > 80) continue;
        shown += row.parts;
        this.open.add(row.index);
        next.push(...this.parts(row));
      }
      level = next;
    }
  }

  parts(row) {
    const found = [];
    for (let index = row.index + 1; index <= row.last; index = this.rows[index].last + 1) found.push(this.rows[index]);
    return found;
  }

  shown() {
    const found = [];
    for (let index = 0; index < this.rows.length;) {
      const row = this.rows[index];
      if (this.only && !this.only.has(index)) { index = row.last + 1; continue; }
      found.push(row);
      index = this.only || this.open.has(index) ? index + 1 : row.last + 1;
    }
    return found;
  }

  // Show only these rows and what is above them; all again for null.
  filter(indexes) {
    if (indexes === null) { this.only = null; return; }
    this.only = new Set();
    for (const index of indexes) {
      for (let row = this.rows[index]; row && !this.only.has(row.index); row = row.above) this.only.add(row.index);
    }
  }

  reveal(row) {
    for (let above = row.above; above; above = above.above) this.open.add(above.index);
  }

  toggle(row, open = !this.open.has(row.index)) {
    if (open) this.open.add(row.index);
    else this.open.delete(row.index);
  }

  byPath(path) {
    this.paths ??= new Map(this.rows.map((row) => [row.path, row]));
    return this.paths.get(path) ?? null;
  }
}
