// Mouse and keyboard on the timeline.

function listenToMouse(timeline) {
  const { canvas, view } = timeline;
  let drag = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    drag = { x: at(event)[0], from: view.from, to: view.to, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (drag && (drag.moved || Math.abs(x - drag.x) > 3)) {
      drag.moved = true;
      canvas.classList.add("moving");
      const by = ((drag.x - x) / timeline.place.width) * (drag.to - drag.from);
      view.show(drag.from + by, drag.to + by);
      hideTip(timeline);
      return;
    }
    hover(timeline, timeline.rowBelow(x, y), x, y);
  });
  canvas.addEventListener("pointerup", (event) => {
    canvas.classList.remove("moving");
    if (drag && !drag.moved) view.select(timeline.rowBelow(...at(event)));
    drag = null;
  });
  canvas.addEventListener("pointercancel", () => (drag = null));
  canvas.addEventListener("pointerleave", () => hover(timeline, -1));
  canvas.addEventListener("dblclick", (event) => {
    const row = timeline.rowBelow(...at(event));
    if (row >= 0) view.zoomTo(row);
    else view.fit();
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        view.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 100), timeline.timeAt(at(event)[0]));
      } else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
        event.preventDefault();
        view.pan((sideways / timeline.place.width) * (view.to - view.from));
      }
      // Otherwise the page scrolls, as it should.
    },
    { passive: false },
  );
}

function hover(timeline, row, x, y) {
  const { view, tip, canvas } = timeline;
  canvas.classList.toggle("over", row >= 0);
  if (row !== view.hovered) {
    view.hovered = row;
    view.tell("hover");
    if (row >= 0) tip.replaceChildren(...tipOf(timeline.data, row));
  }
  if (row < 0) return hideTip(timeline);
  tip.hidden = false;
  const top = canvas.offsetTop + y + 18;
  tip.style.top = `${top}px`;
  const room = canvas.clientWidth - tip.offsetWidth;
  tip.style.left = `${Math.max(0, Math.min(x + 14, room))}px`;
}

function hideTip(timeline) {
  timeline.tip.hidden = true;
}

function tipOf(data, row) {
  const estimate = data.estimate[row];
  const parts = [`set-up ${duration(data.setup[row])}`, `call ${duration(data.call[row])}`, `teardown ${duration(data.teardown[row])}`];
  if (estimate) parts.push(`predicted ${duration(estimate)}`);
  const tries = data.attempts.get(row);
  const more = tries ? ` · ${tries.length} attempts` : "";
  const { name, mark } = ENDINGS[data.ending[row]];
  return [
    el("div", { class: "id" }, data.ids[row]),
    el("div", {}, `${mark} ${name} · ${duration(data.length[row])} · ${workerName(data.lane[row])}${more}`),
    el("div", { class: "muted" }, parts.join(" · ")),
  ];
}

function listenToKeys(timeline) {
  const { canvas, view, data } = timeline;
  const step = (by) => {
    const row = view.selected;
    if (row < 0) return view.select(data.count ? 0 : -1);
    const next = row + by;
    if (next >= data.first[data.lane[row]] && next < data.first[data.lane[row] + 1]) view.select(next);
  };
  const across = (by) => {
    const row = view.selected;
    if (row < 0) return step(0);
    for (let lane = data.lane[row] + by; lane >= 0 && lane < data.lanes.length; lane += by) {
      const other = rowAt(data, lane, (data.start[row] + data.end[row]) / 2, Infinity);
      if (other >= 0) return view.select(other);
    }
  };
  const go = (row) => row >= 0 && view.reveal(row);
  const actions = {
    ArrowRight: () => step(1),
    ArrowLeft: () => step(-1),
    ArrowDown: () => across(1),
    ArrowUp: () => across(-1),
    "+": () => view.zoom(0.5, middleOf(view)),
    "=": () => view.zoom(0.5, middleOf(view)),
    "-": () => view.zoom(2, middleOf(view)),
    0: () => view.fit(),
    Home: () => view.show(0, view.to - view.from),
    End: () => view.show(view.whole - (view.to - view.from), view.whole),
    PageDown: () => view.pan((view.to - view.from) * 0.8),
    PageUp: () => view.pan((view.from - view.to) * 0.8),
    Enter: () => view.selected >= 0 && view.zoomTo(view.selected),
    n: () => view.matches && go(view.next((row) => view.isMatch(row))),
    f: () => go(view.next((row) => ENDINGS[data.ending[row]].bad)),
    l: () => data.run.longest !== null && view.reveal(data.run.longest),
    Escape: () => view.select(-1),
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** Zooming keeps the selected test in sight if it is. */
function middleOf(view) {
  const { data, selected } = view;
  if (selected >= 0) {
    const middle = (data.start[selected] + data.end[selected]) / 2;
    if (middle >= view.from && middle <= view.to) return middle;
  }
  return undefined;
}

/** Dragging on the strip chooses a part; dragging the chosen part moves it. */
function listenToOverview(timeline) {
  const { overview, view } = timeline;
  let drag = null;
  const time = (event) => {
    const box = overview.getBoundingClientRect();
    return ((event.clientX - box.left - timeline.place.left) / timeline.place.width) * view.whole;
  };
  overview.addEventListener("pointerdown", (event) => {
    overview.setPointerCapture(event.pointerId);
    const at = time(event);
    const inside = at >= view.from && at <= view.to && view.to - view.from < view.whole * 0.999;
    drag = { at, from: view.from, moves: inside };
  });
  overview.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const at = time(event);
    if (drag.moves) {
      const by = drag.from + at - drag.at - view.from;
      view.pan(by);
    } else if (Math.abs(at - drag.at) > view.whole / 300) {
      view.show(Math.min(at, drag.at), Math.max(at, drag.at));
    }
  });
  overview.addEventListener("pointerup", () => (drag = null));
  overview.addEventListener("pointercancel", () => (drag = null));
  overview.addEventListener("dblclick", () => view.fit());
}
