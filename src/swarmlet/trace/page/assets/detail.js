// The panel: all that is recorded of one step.

class Panel {
  constructor(data, close) {
    this.data = data;
    this.heading = el("h2", { tabindex: "-1", id: "panel-title" });
    this.content = el("div", { class: "panel-body" });
    this.element = el("aside", { id: "panel", "aria-labelledby": "panel-title", hidden: true },
      el("div", { class: "panel-head" }, this.heading, button("Close", close, { title: "Close (Esc)" })), this.content);
    this.row = null;
  }

  async show(row, focus) {
    this.row = row;
    this.element.hidden = false;
    document.body.classList.add("with-panel");
    this.heading.replaceChildren(said(row.path));
    this.content.replaceChildren(...facts(row));
    const detail = await this.details(row);
    if (this.row !== row) return;
    this.content.replaceChildren(...facts(row), ...this.sections(row, detail));
    this.content.scrollTop = 0;
    if (focus) this.heading.focus();
  }

  hide() {
    this.row = null;
    this.element.hidden = true;
    document.body.classList.remove("with-panel");
  }

  async details(row) {
    if (!this.data.live) return this.data.details[row.index];
    try {
      const answer = await fetch(`${this.data.live.step}?path=${encodeURIComponent(row.path)}`, { cache: "no-store" });
      if (!answer.ok) return undefined;
      const told = await answer.json();
      this.data.values = told.values;
      return told.details;
    } catch {
      return undefined;
    }
  }

  sections(row, detail) {
    if (!detail) {
      return [el("p", { class: "notice" }, this.data.live ? "The server did not answer." : "This large run's report has no details of this step. `swarmlet show RUN --path` has them, and `swarmlet report --full`.")];
    }
    const text = (key, label) => (key === null || key === undefined ? el("p", { class: "dim" }, "not captured") : textBox(this.data.values[key], label));
    const error = (fault, after = "") => el("div", { class: "fault" }, el("b", {}, said(fault.type)), after ? el("span", { class: "dim" }, ` ${after}`) : null, fault.message ? folded(fault.message, "Error") : null);
    const found = [];
    const section = (title, ...content) => found.push(el("section", {}, el("h3", {}, title), ...content));
    if (detail.error) section("Error", error(detail.error));
    if (detail.split) section("Time", splitBar(detail.split, "Time of this step by kind"));
    if (detail.notes) section("Notes", detail.notes.map((note) => el("p", {}, marked(note))));
    if (detail.decisions) section("Decisions", detail.decisions.map((one) => el("p", {}, said(one.by), " chose ", el("b", {}, said(one.chosen)), one.reason ? [": ", marked(one.reason)] : "")));
    if (detail.questions) section("Questions", detail.questions.map((one) => questionView(one, text)));
    if (detail.retries) section("Attempts that failed", detail.retries.map((one) => error(one.error, `attempt ${one.attempt}, the next after ${duration(one.wait)}`)));
    if (detail.reused) section("Reused", el("p", {}, "Its outcome was taken from run ", said(detail.reused), "."));
    if (detail.earlier) section("Ran before", el("p", {}, `${times(detail.earlier, "time")}: a step around it was tried again, or its process was lost.`));
    if (detail.saved) section("Calls not made", detail.saved.map((one) => savedView(one, text)));
    if (detail.cuts) section("Conversation cut to fit", detail.cuts.map((one) => el("p", {}, `Before turn ${one.turn}: ${one.cuts.map((cut) => `message ${cut.index} from ${number(cut.before)} to ${number(cut.after)} tokens`).join(", ")}`)));
    if (detail.queued) section("Waited for a budget", detail.queued.map((one) => el("p", {}, `The call of turn ${one.turn}, for the budget of `, said(one.scope))));
    if (detail.output) section("Output", text(detail.output, "Output"));
    if (detail.work) section(row.tools ? "Calls and tools" : "Calls", detail.work.map((one) => (one.what === "tool" ? toolView(one, text, error) : callView(one, text, error))));
    if (detail.inputs) section("Inputs", Object.entries(detail.inputs).map(([name, key]) => el("div", {}, el("h4", {}, said(name)), text(key, `Input ${plain(name)}`))));
    return found;
  }
}

function facts(row) {
  const took = row.seconds ?? (row.begin === null || row.end === null ? null : row.end - row.begin);
  const list = [
    ["state", state(row.state)], ["node", row.node ? said(row.node) : "a group"],
    ["time", took === null ? "not begun" : `${duration(took)}; ready at ${duration(row.begin)}, over at ${duration(row.end)}`],
    row.critical > 0 ? ["critical path", el("b", {}, duration(row.critical))] : null,
    row.slack !== null && !(row.critical > 0) ? ["slack", row.slack > 0 ? `${duration(row.slack)}: so much later it could have ended` : "none"] : null,
    row.requests ? ["cost", `${usd(row.usd) === "$0" ? "$0, or price not known" : usd(row.usd)}; ${number(row.input)} tokens in, ${number(row.output)} out, ${times(row.requests, "call")}`] : null,
    row.parts ? ["below", times(row.steps, "step")] : null,
  ].filter(Boolean);
  return [el("dl", { class: "facts" }, list.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))))];
}

function callView(one, text, error) {
  const parts = [
    duration(one.seconds ?? null) || "not ended", one.limit > 0.001 ? `after ${duration(one.limit)} for limits` : "", one.budget > 0.001 ? `after ${duration(one.budget)} for a budget` : "",
    one.first ? `first token after ${duration(one.first)}` : "", one.input || one.output ? `${number(one.input ?? 0)} tokens in${one.cached ? ` (${number(one.cached)} cached)` : ""}, ${number(one.output ?? 0)} out` : "",
    one.usd !== undefined ? usd(one.usd) : "", one.finish && one.finish !== "stop" ? `ended by ${one.finish}` : "",
  ].filter(Boolean);
  const shared = one.shared ? el("p", { class: "dim small" }, `${times(one.shared, "message")} as in the call before, and:`) : null;
  const messages = one.messages.map((key) => text(key, "Message"));
  return el("details", { class: "work", open: true },
    el("summary", {}, el("b", {}, `Turn ${one.turn}${one.attempt > 1 ? `, attempt ${one.attempt}` : ""}`), " ", said(one.model), " ", one.state === "finished" ? null : state(one.state), el("span", { class: "dim" }, ` ${plain(parts.join(" · "))}`)),
    one.error ? error(one.error, one.retry !== undefined ? `tried again after ${duration(one.retry)}` : "") : null,
    one.messages.length ? [el("h4", {}, "Prompt"), shared, messages] : null,
    one.reply ? [el("h4", {}, "Reply"), text(one.reply, "Reply")] : null,
    one.request ? el("details", {}, el("summary", {}, "Tools, schema and settings"), text(one.request, "Request")) : null,
    one.id ? el("p", { class: "dim small" }, "request id ", said(one.id)) : null);
}

function toolView(one, text, error) {
  return el("details", { class: "work", open: true },
    el("summary", {}, el("b", {}, "Tool ", said(one.name)), " ", one.state === "finished" ? null : state(one.state), el("span", { class: "dim" }, ` ${duration(one.seconds ?? null) || "not ended"}${one.effects ? " · acts on the world" : ""}`)),
    one.error ? error(one.error) : null, el("h4", {}, "Arguments"), text(one.arguments, "Arguments"), el("h4", {}, "Result"), text(one.result, "Result"));
}

function savedView(one, text) {
  return el("details", { class: "work" }, el("summary", {}, `Turn ${one.turn}: the reply came from the ${one.source}; saved ${number(one.input + one.output)} tokens${one.usd ? `, ${usd(Number(one.usd))}` : ""}`),
    one.messages.map((key) => text(key, "Message")), el("h4", {}, "Reply"), text(one.reply, "Reply"));
}

function questionView(one, text) {
  if ("answer" in one) return el("div", {}, el("h4", {}, "Answer", one.by ? [" by ", said(one.by)] : ""), text(one.answer, "Answer"));
  return el("div", {}, el("h4", {}, one.about === "answer" ? "Asked" : `Asked (${one.about})`, one.tool ? [" about ", said(one.tool)] : ""), text(one.question, "Question"), one.arguments ? text(one.arguments, "Arguments") : null);
}
