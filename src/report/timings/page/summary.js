// What stands above and between the pictures: key figures, the outcome, what the wall time hung on, the selected test.

function drawHeader(data) {
  const { run } = data;
  const when = new Date(run.started * 1000);
  const parts = [
    when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }),
    plural(run.workers, "worker"),
    `start method ${run.method || "unknown"}${run.warm ? ", warm session" : ", freshly collected"}`,
  ];
  byId("about").textContent = parts.join(" · ");
  const counts = run.counts.map(([name, count]) => `${number(count)} ${name}`);
  if (run.notRun) counts.push(`${number(run.notRun)} not run`);
  const badge = byId("status");
  badge.textContent = `${run.status === 0 ? "✓" : "✕"} ${counts.join(", ") || "no results"}`;
  badge.classList.add(run.status === 0 ? "good" : "bad");
  badge.title = `exit status ${run.status}`;
  document.title = `${counts.join(", ")} in ${duration(run.total)} – rpytest timings`;
  byId("made").textContent = `Made by rpytest ${data.version}. Times of phases are pytest's, of fixtures measured around their set-up; this page needs no network.`;
  if (run.stopped) byId("about").append(el("br"), el("strong", {}, `Stopped early: ${run.stopped}`));
}

function drawCards(data) {
  const { run, lanes } = data;
  const sum = (key) => lanes.reduce((total, lane) => total + lane[key], 0);
  const busy = sum("busy");
  const room = (run.last - run.ready) * lanes.length;
  const window_ = run.last - run.ready;
  const cards = [["Wall time", duration(run.total), `${duration(run.ready)} until workers started`]];
  if (run.known) cards.push(["Tests, predicted → actual", `${duration(run.predicted)} → ${duration(window_)}`, `${percent(run.known, data.count + run.notRun)} of tests had a history`]);
  else cards.push(["From first to last test", duration(window_), "nothing was predicted: no history"]);
  cards.push(["Workers busy", percent(busy, room), `${duration(busy)} in tests, ${duration(Math.max(0, room - busy))} idle or between tests`]);
  cards.push(["Set-up and teardown", percent(sum("setup") + sum("teardown"), busy), `${duration(sum("fixtures"))} in fixtures' set-up`]);
  if (run.longest !== null) cards.push(["Longest test", duration(data.length[run.longest]), percent(data.length[run.longest], window_) + " of the tests' wall time"]);
  byId("cards").replaceChildren(...cards.map(([title, value, note]) => el("div", {}, el("dt", {}, title), el("dd", {}, value), el("dd", {}, note))));
}

/** Signs and counts of outcomes, which highlight when pressed; then what else the bars are made of. */
function drawLegend(view) {
  const { data } = view;
  const counts = new Array(ENDINGS.length).fill(0);
  for (let row = 0; row < data.count; row++) counts[data.ending[row]]++;
  const buttons = [];
  ENDINGS.forEach((ending, index) => {
    const rerun = ending.name === "rerun" && data.attempts.size > 0;
    if (!counts[index] && !rerun) return;
    if (!counts[index]) {
      buttons.push(el("span", { class: "key" }, el("span", { class: "swatch", style: { background: `var(--${ending.name})` } }), `${ending.mark} attempt that was repeated`));
      return;
    }
    const press = (event) => {
      view.toggle(index);
      event.currentTarget.setAttribute("aria-pressed", String(view.endings.has(index)));
    };
    const mark = el("span", { class: "mark", style: { color: `var(--${ending.name})` }, "aria-hidden": "true" }, ending.mark);
    buttons.push(
      el("button", { type: "button", "aria-pressed": "false", "data-outcome": ending.name, onclick: press }, el("span", { class: "swatch", style: { background: `var(--${ending.name})` } }), mark, `${ending.name} ${number(counts[index])}`),
    );
  });
  const key = (kind, label) => el("span", { class: "key" }, el("span", { class: `swatch ${kind}` }), label);
  const dense = data.count > 300 ? [el("span", { class: "key" }, "narrower than a pixel: height is the share of time")] : [];
  byId("legend").replaceChildren(...buttons, key("setup", "set-up (striped: fixtures)"), key("teardown", "teardown"), key("idle", "idle"), ...dense);
}

function drawPath(view) {
  const { data } = view;
  const { run, lanes } = data;
  const lane = lanes[run.critical];
  const text = verdict(view);
  const after = run.total - run.last;
  if (lane && lane.tests && after > run.total / 5) text.push(` Pytest's summary and the end took another ${duration(after)}.`);
  byId("verdict").replaceChildren(...text);
  if (!lane || !lane.tests) return;
  const between = Math.max(0, lane.last - lane.first - lane.busy);
  const parts = [
    ["startup", run.ready, "start and collection"],
    ["idle", Math.max(0, lane.first - run.ready), "fork, first test not yet begun"],
    ["setup", lane.setup, "set-up"],
    ["call", lane.call, "calls"],
    ["teardown", lane.teardown, "teardown"],
    ["idle", between, "between tests"],
    ["after", Math.max(0, run.total - lane.last), "summary and end"],
  ];
  const shown = parts.filter(([, time]) => time > 0);
  const whole = shown.reduce((sum, [, time]) => sum + time, 0) || 1;
  const stack = el("div", { class: "stack", role: "img", "aria-label": shown.map(([, time, name]) => `${name} ${duration(time)}`).join(", ") });
  const keys = el("ul", { class: "keys" });
  for (const [kind, time, name] of shown) {
    stack.append(segment(kind, time, whole, `${name}: ${duration(time)}`));
    keys.append(el("li", {}, el("span", { class: `seg ${kind}` }), el("span", {}, `${name} `, el("strong", {}, duration(time)), el("span", { class: "muted" }, ` ${percent(time, whole)}`))));
  }
  const rows = [];
  for (let row = data.first[run.critical]; row < data.first[run.critical + 1]; row++) rows.push(row);
  rows.sort((one, two) => data.length[two] - data.length[one]);
  const top = rows.slice(0, 5).map((row) => el("li", {}, linkTo(view, row), el("span", { class: "num" }, duration(data.length[row]))));
  const title = `The longest of the ${plural(lane.tests, "test")} that ${workerName(run.critical)}, the last to finish, ran one after the other:`;
  byId("path").replaceChildren(stack, keys, el("p", { class: "muted small" }, title), el("ol", { class: "chain" }, ...top));
}

/** One or two sentences: the cause, and what would help. */
function verdict(view) {
  const { data } = view;
  const { run, lanes } = data;
  const window_ = run.last - run.ready;
  const busy = lanes.reduce((sum, lane) => sum + lane.busy, 0);
  const fair = busy / Math.max(1, lanes.length);
  const row = run.bottleneckRow;
  switch (run.bottleneck) {
    case "nothing":
      return ["No test has a result."];
    case "startup":
      return [`Starting and collecting took ${duration(run.ready)}, longer than all tests together (${duration(window_)}). ${run.warm ? "The session was warm already; the rest is starting the command and its workers." : "A second run with the same arguments can use the session again."}`];
    case "one-worker":
      return [`One worker ran everything: its tests add up to ${duration(busy)}. With -n 2 or more they share the time.`];
    case "longest-test":
      return ["One test took ", duration(data.length[row]), " of ", duration(window_), ": ", linkTo(view, row), `. No number of workers makes the run shorter than this test; evenly shared, the work would take ${duration(fair)}.`];
    case "last-test":
      return ["For the last ", duration(run.alone), " only one worker was left, mostly in ", linkTo(view, row), `. Evenly shared, the work would take ${duration(fair)} instead of ${duration(window_)}. ${run.known ? "Durations that differ from the history, or a group of tests that belong together, are the usual reasons." : "With the history of this run the next one starts long tests first."}`];
    case "fixtures":
      return [`Fixtures: their set-up takes ${percent(lanes.reduce((sum, lane) => sum + lane.fixtures, 0), busy)} of the time in tests. The work is shared evenly, so wider scopes or cheaper fixtures are what would help.`];
    default: {
      const lane = lanes[run.critical];
      const between = (lane.last - lane.first - lane.busy) / Math.max(1, lane.tests);
      const pause = between * lane.tests > window_ / 8 ? ` Between two tests pass ${duration(between)} on average: hooks of pytest and its plugins, or a machine with more to do than this run.` : "";
      return [`The work was shared evenly: ${duration(window_)} for the tests, ${duration(fair)} if no worker had waited for a moment.${pause} Less work or more processors would make it shorter.`];
    }
  }
}

/** The selected test. */
function drawDetail(view) {
  const box = byId("detail");
  const { data, selected: row } = view;
  if (row < 0) return box.replaceChildren();
  const facts = [
    ["Worker", String(data.lane[row])],
    ["Start", duration(data.start[row])],
    ["Total", duration(data.length[row])],
    ["Set-up", duration(data.setup[row])],
    ["Call", duration(data.call[row])],
    ["Teardown", duration(data.teardown[row])],
  ];
  if (data.run.known) facts.push(["Predicted", data.estimate[row] ? duration(data.estimate[row]) : "new test"]);
  if (data.moved.has(row)) facts.push(["Planned for", workerName(data.moved.get(row))]);
  const tries = data.attempts.get(row);
  if (tries) facts.push(["Attempts", tries.map((one) => `${ENDINGS[one.ending].mark} ${ENDINGS[one.ending].name} ${duration(one.setup + one.call + one.teardown)}`).join(", ")]);
  const setups = data.setups.get(row) || [];
  if (setups.length) facts.push(["Fixtures set up (0.1 ms and more)", setups.map(({ fixture, length }) => `${fixtureName(data.fixtures[fixture].name)} ${duration(length)}`).join(", ")]);
  if (data.reasons.has(row)) facts.push(["Reason", data.reasons.get(row)]);
  box.replaceChildren(
    el("div", { class: "title" }, outcome(data.ending[row]), el("span", { class: "id" }, data.ids[row])),
    el("dl", {}, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
  );
}
