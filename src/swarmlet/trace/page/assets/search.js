// Search: by path, node, error, and in the texts that the page has.

class Search {
  constructor(tree, data, shown) {
    this.tree = tree;
    this.data = data;
    this.shown = shown;
    this.found = [];
    this.told = el("span", { class: "dim small", role: "status" });
    this.input = el("input", { type: "search", id: "search", placeholder: "Search steps and texts", "aria-label": "Search steps and texts", autocomplete: "off", spellcheck: "false",
      on: { input: () => this.later(), keydown: (event) => this.key(event) } });
    this.element = el("div", { class: "search", role: "search" }, this.input, this.told);
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.run(), this.tree.rows.length > 2000 ? 250 : 60);
  }

  run() {
    const wanted = this.input.value.trim().toLowerCase();
    if (!wanted) {
      this.found = [];
      this.told.textContent = "";
      this.shown(null);
      return;
    }
    this.show(wanted, this.steps(wanted));
    if (this.data.live) this.ask(wanted);
  }

  // The server has the texts.
  async ask(wanted) {
    try {
      const answer = await fetch(`${this.data.live.search}?text=${encodeURIComponent(wanted)}`, { cache: "no-store" });
      const { paths } = await answer.json();
      if (this.input.value.trim().toLowerCase() === wanted) this.show(wanted, new Set(paths.map((path) => this.tree.byPath(path)?.index)));
    } catch { /* then there are those that were found here */ }
  }

  show(wanted, inTexts) {
    this.found = this.tree.rows.filter((row) => row.path.toLowerCase().includes(wanted) || row.node.toLowerCase().includes(wanted)
      || (row.error ?? "").toLowerCase().includes(wanted) || (row.node && row.state === wanted) || inTexts.has(row.index)).map((row) => row.index);
    this.told.textContent = times(this.found.length, "step");
    this.shown(this.found);
  }

  // The steps that name a value in which the text stands, or say it themselves.
  steps(wanted) {
    const keys = new Set();
    for (const [key, value] of Object.entries(this.data.values ?? {})) {
      if (value.text.toLowerCase().includes(wanted) || (value.more && value.more.text.toLowerCase().includes(wanted))) keys.add(key);
    }
    const found = new Set();
    for (const [index, detail] of Object.entries(this.data.details ?? {})) if (says(detail, wanted, keys)) found.add(Number(index));
    return found;
  }

  key(event) {
    if (event.key === "Escape" && this.input.value) {
      event.stopPropagation();
      this.input.value = "";
      this.run();
    } else if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      clearTimeout(this.timer);
      this.run();
      find("#rows").focus();
    }
  }
}

function says(item, wanted, keys) {
  if (typeof item === "string") return keys.has(item) || item.toLowerCase().includes(wanted);
  if (Array.isArray(item)) return item.some((one) => says(one, wanted, keys));
  if (item && typeof item === "object") return Object.values(item).some((one) => says(one, wanted, keys));
  return false;
}
