// Tables: the slowest tests and fixtures, crashes and retries. Rows lead to the timeline.

const SHOWN = 20;

function table(head, rows, empty) {
  if (!rows.length) return el("p", { class: "muted" }, empty);
  const cells = head.map(([label, kind]) => el("th", { class: kind, scope: "col" }, label));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...cells)), el("tbody", {}, ...rows)));
}

function td(kind, ...content) {
  return el("td", { class: kind }, ...content);
}

/** A button that shows a test in the timeline. */
function linkTo(view, row, label = view.data.ids[row]) {
  const show = () => {
    view.reveal(row);
    byId("timeline").scrollIntoView({ block: "center" });
    byId("timeline").focus({ preventScroll: true });
  };
  return el("button", { type: "button", class: "link id", onclick: show, title: "Show in the timeline" }, label);
}

const ORDERS = [
  ["total", "duration", (data, row) => data.length[row]],
  ["setup", "set-up", (data, row) => data.setup[row]],
  ["teardown", "teardown", (data, row) => data.teardown[row]],
  ["over", "longer than predicted", (data, row) => (data.estimate[row] ? data.length[row] - data.estimate[row] : -Infinity)],
  ["under", "shorter than predicted", (data, row) => (data.estimate[row] ? data.estimate[row] - data.length[row] : -Infinity)],
];

class SlowestTests {
  constructor(view) {
    this.view = view;
    this.shown = SHOWN;
    this.select = byId("order");
    for (const [value, label] of ORDERS) {
      if ((value === "over" || value === "under") && !view.data.run.known) continue;
      this.select.append(el("option", { value }, label));
    }
    this.select.addEventListener("change", () => this.start());
    view.listen((what) => what === "matches" && this.start());
    this.start();
  }

  start() {
    this.shown = SHOWN;
    this.fill();
  }

  fill() {
    const { view } = this;
    const { data } = view;
    const [, , key] = ORDERS.find(([value]) => value === this.select.value);
    const rows = [];
    for (let row = 0; row < data.count; row++) if (view.isMatch(row) && key(data, row) > -Infinity) rows.push(row);
    const keys = Float64Array.from({ length: data.count }, (_, row) => key(data, row));
    rows.sort((one, two) => keys[two] - keys[one] || one - two);
    const longest = rows.reduce((most, row) => Math.max(most, data.length[row]), 1);
    const known = data.run.known > 0;
    const head = [["Test"], ["Outcome"], ["Total", "num"], ["", "meter"], ["Set-up", "num"], ["Call", "num"], ["Teardown", "num"]];
    if (known) head.push(["Predicted", "num"]);
    head.push(["Worker", "num"]);
    const shown = rows.slice(0, this.shown).map((row) =>
      el(
        "tr",
        {},
        td("", linkTo(view, row)),
        td("", outcome(data.ending[row])),
        td("num", duration(data.length[row])),
        td("meter", this.meter(row, longest)),
        td("num", duration(data.setup[row])),
        td("num", duration(data.call[row])),
        td("num", duration(data.teardown[row])),
        ...(known ? [td("num", data.estimate[row] ? duration(data.estimate[row]) : el("span", { class: "muted" }, "new"))] : []),
        td("num", String(data.lane[row])),
      ),
    );
    const more = rows.length - shown.length;
    const next = Math.min(more, 100);
    byId("tests").replaceChildren(
      table(head, shown, view.matches ? "No test matches." : "No test has a result."),
      more > 0
        ? el("button", { type: "button", class: "more", onclick: () => this.grow(next) }, `Show ${number(next)} more of ${number(more)}`)
        : "",
    );
  }

  grow(by) {
    this.shown += by;
    this.fill();
  }

  meter(row, longest) {
    const { data } = this.view;
    const colour = `var(--${ENDINGS[data.ending[row]].name})`;
    return el(
      "div",
      { "aria-hidden": "true" },
      segment("setup", data.setup[row], longest, "set-up"),
      segment("call", data.call[row], longest, "call", colour),
      segment("teardown", data.teardown[row], longest, "teardown"),
    );
  }
}

function drawFixtures(view) {
  const { data } = view;
  const order = data.fixtures.map((_, index) => index).sort((one, two) => data.fixtures[two].total - data.fixtures[one].total);
  const box = byId("fixtures");
  let shown = 12;
  const fill = () => {
    const rows = order.slice(0, shown).map((index) => {
      const fixture = data.fixtures[index];
      const where = fixture.base ? ` in ${fixture.base}` : "";
    const longest = data.fixtures[order[0]].total || 1;
      return el(
        "tr",
        {},
        td("", el("code", { title: fixture.name }, fixtureName(fixture.name)), el("span", { class: "muted small id" }, where), fixture.failed ? el("span", { class: "outcome", style: { color: "var(--error)" } }, ` ◆ ${number(fixture.failed)} failed`) : ""),
        td("", fixture.scope),
        td("num", number(fixture.count)),
        td("num", duration(fixture.total)),
        td("meter", el("div", { "aria-hidden": "true" }, segment("setup", fixture.total, longest, "set-up"))),
        td("num", linkTo(view, fixture.row, duration(fixture.longest))),
        td("num", number(fixture.workers)),
      );
    });
    const more = order.length - rows.length;
    box.replaceChildren(
      table([["Fixture"], ["Scope"], ["Set-ups", "num"], ["Total", "num"], ["", "meter"], ["Longest", "num"], ["Workers", "num"]], rows, "No fixture was set up."),
      more > 0
        ? el("button", { type: "button", class: "more", onclick: () => ((shown += 50), fill()) }, `Show ${number(Math.min(more, 50))} more of ${number(more)}`)
        : "",
    );
  };
  fill();
}

const AFTER_CRASH = {
  coming: "a new process took its place",
  "nothing-left": "not replaced, since no test was left to start",
  limit: "not replaced, since too many workers had crashed",
  ending: "not replaced, since the run ended",
};

function drawTroubles(view) {
  const { data } = view;
  const rows = data.crashes.map((crash) => {
    const row = crash.test === null ? -1 : data.ids.indexOf(crash.test);
    const what = crash.test === null ? "no test was running" : row >= 0 ? linkTo(view, row) : el("span", { class: "id" }, crash.test);
    const sign = el("span", { class: "outcome", style: { color: "var(--failed)" } }, "✕ crash");
    const after = AFTER_CRASH[crash.replacement];
    return el("tr", {}, td("num", duration(crash.at)), td("", sign), td("num", String(crash.slot)), td("", what), td("", `${crash.cause}; ${after}`));
  });
  for (const [row, tries] of data.attempts) {
    const said = tries.map((one) => `${ENDINGS[one.ending].name} after ${duration(one.setup + one.call + one.teardown)}`);
    const sign = el("span", { class: "outcome", style: { color: "var(--rerun)" } }, `↻ ${plural(tries.length, "attempt")}`);
    rows.push(el("tr", {}, td("num", duration(data.start[row])), td("", sign), td("num", String(data.lane[row])), td("", linkTo(view, row)), td("", said.join(", "))));
  }
  if (!rows.length) return;
  byId("troubles").hidden = false;
  byId("trouble").replaceChildren(table([["At", "num"], ["What"], ["Worker", "num"], ["Test"], ["More"]], rows, ""));
}
