// Draws the charts, and lets readers filter. Every number of a page stands in it as text: the texts beside the values
// are shown, and the values only place what is drawn.
"use strict";

const COLOURS = ["#14658c", "#d07a1f", "#4f8a3c", "#8957a3", "#b3404a", "#5b6873"];
// As the states of duties look in the table.
const TONES = { done: "#2d8a55", in_progress: "#2c86a3", not_started: "#c3ccd3", blocked: "#b02a48", not_reported: "#8c98a3" };
const INK = "#16212b", MUTED = "#525f6b", LINE = "#dce2e7";

function place(value) {
  return value === null ? null : Number(value);
}

function escaped(text) {
  const element = document.createElement("span");
  element.textContent = text;
  return element.innerHTML;
}

function tooltip(chart) {
  return {
    trigger: "axis", confine: true, axisPointer: { type: chart.kind === "line" ? "line" : "shadow" },
    textStyle: { color: INK, fontSize: 13 },
    formatter: (points) => {
      const at = points[0].dataIndex;
      const lines = chart.series.concat(chart.total || []).filter((one) => one.texts[at]).map((one) =>
        `${escaped(one.name)}&ensp;<strong>${escaped(one.texts[at])}</strong>`);
      const period = chart.periods[at];
      for (const goal of (chart.goals || []).filter((one) => one.period === period)) {
        lines.push(`${escaped(goal.name)}&ensp;<strong>${escaped(goal.text)}</strong>`);
      }
      for (const running of (chart.running || []).filter((one) => one.period === period)) {
        lines.push(`<strong>${escaped(running.text)}</strong>`);
      }
      for (const earlier of (chart.earlier || []).filter((one) => one.period === period)) {
        lines.push(escaped(earlier.text));
      }
      return [`<strong>${escaped(period)}</strong>`, ...lines].join("<br>");
    },
  };
}

function option(chart) {
  const bars = chart.kind !== "line";
  const sideways = chart.kind === "ranking";
  const series = chart.series.map((one, at) => ({
    name: one.name, type: bars ? "bar" : "line", data: one.values.map(place),
    stack: chart.total ? "all" : undefined,
    barMaxWidth: 46, symbol: "circle", symbolSize: one.values.length > 24 ? 0 : 6, showSymbol: one.values.length <= 24,
    lineStyle: { width: 2.5 }, itemStyle: { color: TONES[one.tone] || COLOURS[at % COLOURS.length] }, connectNulls: false,
    emphasis: { disabled: true },
    label: sideways ? { show: true, position: "right", color: INK, formatter: (point) => one.texts[point.dataIndex] } : undefined,
  }));
  if (chart.running && chart.running.length) {
    const { period, value, text } = chart.running[0];
    series.push({ type: "bar", data: [[period, place(value)]], barMaxWidth: 46, barGap: "-100%", silent: true,
      itemStyle: { color: "#cfe1ea", borderColor: COLOURS[0], borderType: "dashed" },
      label: { show: true, position: "top", color: INK, fontSize: 12, formatter: () => text } });
  }
  for (const path of chart.paths || []) {
    series.push({ type: "line", data: path.map(([period, value]) => [period, place(value)]), symbol: "none", silent: true,
      lineStyle: { type: "dashed", width: 1.5, color: MUTED }, tooltip: { show: false } });
  }
  if (chart.earlier && chart.earlier.length) {
    series.push({ type: "scatter", data: chart.earlier.map((one) => [one.period, place(one.value)]), symbol: "circle", symbolSize: 7,
      silent: true, itemStyle: { color: "#fff", borderColor: MUTED, borderWidth: 1.5 } });
  }
  if (chart.goals) {
    series.push({ type: "scatter", data: chart.goals.map((one) => ({
        value: [one.period, place(one.value)], name: one.text,
        label: { align: !bars && chart.periods.indexOf(one.period) > chart.periods.length * 0.8 ? "right" : "center" },
      })), symbol: "diamond",
      symbolSize: 14, silent: true, itemStyle: { color: "#d07a1f", borderColor: "#fff", borderWidth: 1.5 }, z: 5,
      label: { show: true, position: "top", color: INK, fontSize: 12, formatter: (point) => point.name, backgroundColor: "rgba(255,255,255,.85)", padding: [1, 3] },
      labelLayout: { hideOverlap: true, moveOverlap: "shiftY" } });
  }
  const periods = { type: "category", data: chart.periods, axisLine: { lineStyle: { color: "#8c98a3" } }, axisTick: { show: false },
    axisLabel: { color: MUTED, hideOverlap: true }, inverse: sideways, boundaryGap: bars };
  const values = { type: "value", axisLabel: { color: MUTED, formatter: (value) => value.toLocaleString("en") }, splitLine: { lineStyle: { color: LINE } },
    splitNumber: 4, minInterval: chart.series.every((one) => one.texts.every((text) => !text.includes("."))) ? 1 : 0 };
  return {
    animation: false, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily }, aria: { enabled: false },
    color: COLOURS, tooltip: tooltip(chart), legend: chart.series.length > 1
      ? { data: chart.series.map((one) => one.name), top: 0, left: 0, itemWidth: 14, itemHeight: 10, textStyle: { color: INK, fontSize: 12 }, type: "plain" } : undefined,
    grid: { left: 4, right: sideways ? 70 : 26, top: chart.series.length > 1 ? 58 : 30, bottom: 4, containLabel: true },
    xAxis: sideways ? { ...values, axisLabel: { show: false }, splitLine: { show: false } } : periods, yAxis: sideways ? periods : values, series,
  };
}

// Charts are drawn when they come near the screen, and all of them for paper.
function drawCharts() {
  const plots = document.querySelectorAll(".plot"), charts = new Map();
  const draw = (plot) => {
    if (charts.has(plot)) return;
    charts.set(plot, echarts.init(plot, null, { renderer: "svg" }));
    charts.get(plot).setOption(option(JSON.parse(plot.nextElementSibling.textContent)));
  };
  const near = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting) draw(one.target);
  }, { rootMargin: "500px" });
  plots.forEach((plot) => near.observe(plot));
  addEventListener("beforeprint", () => plots.forEach(draw));
  addEventListener("resize", () => charts.forEach((one) => one.resize()));
}

// The counts of the overview become buttons that leave the cards of one status.
function filterCards() {
  const list = document.getElementById("statuses");
  if (!list) return;
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", list.dataset.filterLabel);
  for (const item of list.children) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.append(...item.childNodes);
    item.append(button);
    item.setAttribute("role", "presentation");
    button.addEventListener("click", () => {
      const chosen = button.getAttribute("aria-pressed") === "true" ? null : item.dataset.status;
      for (const other of list.querySelectorAll("button")) {
        other.setAttribute("aria-pressed", String(other.parentElement.dataset.status === chosen));
      }
      for (const card of document.querySelectorAll(".card")) card.hidden = chosen !== null && card.dataset.status !== chosen;
      for (const cards of document.querySelectorAll(".cards")) cards.parentElement.hidden = !cards.querySelector(".card:not([hidden])");
    });
  }
}

// A field above a long table leaves the rows that hold what is typed.
function filterRows() {
  for (const place of document.querySelectorAll(".filter")) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = "search";
    label.append(place.dataset.label, input);
    place.append(label);
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      for (const row of document.getElementById(place.dataset.filters).tBodies[0].rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
      }
    });
  }
}

// The page at hand is in sight in a menu that is wider than the screen, and a long list of contents open on a wide one.
function arrange() {
  document.querySelector("nav [aria-current]").scrollIntoView({ inline: "center", block: "nearest" });
  for (const contents of document.querySelectorAll("details.contents")) contents.open = innerWidth > 700;
}

// The other language opens at the same place.
function keepPlace() {
  const link = document.querySelector(".switch a");
  link.addEventListener("click", () => { link.hash = location.hash; });
}

// A reader who prints wants the tables too, and the charts as wide as the paper.
function openForPrint() {
  let closed = [];
  addEventListener("beforeprint", () => {
    for (const drawing of document.querySelectorAll(".plot svg")) {
      drawing.setAttribute("viewBox", `0 0 ${drawing.width.baseVal.value} ${drawing.height.baseVal.value}`);
    }
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
}

filterCards();
filterRows();
arrange();
keepPlace();
drawCharts();
openForPrint();
