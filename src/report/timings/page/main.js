// Puts the page together.

function listenToTools(view) {
  const search = byId("search");
  const matches = byId("matches");
  search.addEventListener("input", () => view.search(search.value));
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && view.matches) {
      event.preventDefault();
      view.reveal(view.next((row) => view.isMatch(row)));
    } else if (event.key === "Escape") {
      search.value = "";
      view.search("");
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    search.focus();
    search.select();
  });
  view.listen((what) => {
    if (what === "matches") matches.textContent = view.matches ? `${number(view.matching)} of ${plural(view.data.count, "test")}` : "";
    if (what === "selection") drawDetail(view);
  });
  byId("zoom-in").addEventListener("click", () => view.zoom(0.5, middleOf(view)));
  byId("zoom-out").addEventListener("click", () => view.zoom(2, middleOf(view)));
  byId("zoom-fit").addEventListener("click", () => view.fit());
}

function start() {
  const began = performance.now();
  const data = readData(byId("data").textContent);
  const view = new View(data);
  document.querySelector("main").hidden = false;
  drawHeader(data);
  drawCards(data);
  drawLegend(view);
  const timeline = new Timeline(view);
  timeline.draw();
  listenToTools(view);
  // What lies further down may come a moment later.
  const rest = [() => drawPath(view), () => drawPlan(data), () => drawHistogram(data), () => drawFixtures(view), () => new SlowestTests(view), () => new Scatter(view).draw(), () => drawTroubles(view)];
  const next = () => {
    const part = rest.shift();
    if (part) {
      part();
      setTimeout(next);
    } else {
      // How long it took, for whoever measures.
      document.documentElement.dataset.ready = (performance.now() - began).toFixed(1);
    }
  };
  setTimeout(next);
  return { data, view, timeline };
}

let page = null;
try {
  page = start();
} catch (error) {
  // Better a word than an empty page.
  byId("broken").textContent = `This page could not be drawn: ${error.message}`;
  byId("broken").hidden = false;
  throw error;
}
