// The keyboard, the help that lists it, and light or dark.

const HELP = [
  ["/", "search"], ["↑ ↓", "the step above, below"], ["← →", "close, open; the step around"], ["Enter", "all of a step"], ["Esc", "close what is open"],
  ["c", "along the critical path"], ["+ −", "zoom"], ["0", "the whole run"], ["z", "zoom to the step"], ["t", "light or dark"], ["?", "this help"],
];

function helpDialog(keys = HELP) {
  return el("dialog", { id: "help", "aria-label": "Keys" }, el("h2", {}, "Keys"),
    el("dl", { class: "keys" }, keys.map(([key, what]) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)))),
    button("Close", () => find("#help").close()));
}

function themeButton() {
  const root = document.documentElement;
  const kept = remembered();
  if (kept) root.dataset.theme = kept;
  return button("Light or dark", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("swarmlet-theme", root.dataset.theme); } catch { /* a page from disk may have none */ }
  }, { id: "theme" });
}

function remembered() {
  try {
    const kept = localStorage.getItem("swarmlet-theme");
    return kept === "dark" || kept === "light" ? kept : null;
  } catch {
    return null;
  }
}

// What has the focus has these for itself: buttons are pressed, boxes are scrolled.
const OWN = new Set(["Enter", "ArrowDown", "ArrowUp"]);

function listen(acts) {
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.altKey || event.ctrlKey || event.metaKey || (typing && event.key !== "Escape") || find("dialog[open]")) return;
    const act = acts[event.key];
    if (!act || (OWN.has(event.key) && event.target !== document.body)) return;
    event.preventDefault();
    act();
  });
}
