// Draws every plot of the page with uPlot. Drag to zoom, double click to see everything again, click a name in the
// legend to toggle its line; plots over time share their cursor. Colours come from the style sheet, so that light and
// dark need no second list.
(function () {
  "use strict";
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const HEIGHT = 260;
  const WHOLE = [0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((e) => [1, 2, 5].map((k) => k * Math.pow(10, e)));
  const LOG_SPLITS = [-3, -2, -1].flatMap((e) => [1, 2, 5].map((k) => k / Math.pow(10, -e))).concat(WHOLE);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];

  function color(name) {
    if (name[0] === "t") {
      // One hue per target, by the golden angle, so that neighbours differ.
      const hue = (Number(name.slice(1)) * 137.5 + 215) % 360;
      return "hsl(" + hue.toFixed(0) + " 65% " + (dark.matches ? 65 : 45) + "%)";
    }
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  function number(value) {
    if (value == null || value === false) return "–";
    const size = Math.abs(value);
    const digits = Number.isInteger(value) || size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
    return value.toLocaleString("en-US", { maximumFractionDigits: digits });
  }

  function axes(plot) {
    const base = { stroke: color("soft"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 },
      font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", labelSize: 20, labelGap: 0 };
    const x = Object.assign({}, base, { label: xLabel(plot), size: 30, values: labels });
    if (plot.kind === "bars") {
      x.splits = (u, i, min, max) => ticks(plot.labels.length, min, max, u.width);
      x.values = (u, splits) => splits.map((i) => plot.labels[i]);
      x.grid = { show: false };
    }
    const y = Object.assign({}, base, { label: plot.y, size: 64, values: labels });
    // Things that are counted have no halves.
    if (["targets", "requests"].includes(plot.y)) y.incrs = WHOLE;
    if (plot.log_x) logarithmic(x);
    if (plot.log_y) logarithmic(y);
    return [x, y];
  }

  function labels(u, splits) {
    return splits.map(number);
  }

  // 1, 2, 5, 10, … within the range, each with a label.
  function logarithmic(axis) {
    axis.splits = (u, i, min, max) => LOG_SPLITS.filter((value) => value >= min && value <= max);
    axis.filter = (u, splits) => splits;
  }

  function xLabel(plot) {
    if (plot.kind === "time") return "scenario time, s";
    return plot.kind === "histogram" ? plot.x_unit : plot.x_label;
  }

  // Whole numbers within the range, thinned to what has room for its label.
  function ticks(n, min, max, width) {
    const first = Math.max(0, Math.ceil(min)), last = Math.min(n - 1, Math.floor(max));
    const step = Math.max(1, Math.ceil((last - first + 1) / (width / 60)));
    const found = [];
    for (let i = first; i <= last; i += step) found.push(i);
    return found;
  }

  function style(plot, one) {
    const stroke = color(one.color);
    const label = one.label;
    switch (one.style) {
      case "step":
        return { label, stroke, width: 1.5, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } };
      case "line":
        return { label, stroke, width: 1.5, points: { show: false } };
      // One side of a band: the band is the fill between the two.
      case "edge":
        return { label, stroke, width: 1, paths: course(one), points: { show: false } };
      // Drawn over others, which show through.
      case "dashed":
        return { label, stroke, width: 1.5, dash: [5, 5], paths: course(one), points: { show: false } };
      case "points":
        return { label, stroke, paths: () => null, points: { show: true, size: 3, width: 0, fill: stroke } };
      case "marks":
        return { label, stroke, paths: () => null, points: { show: true, size: 8, width: 1.5, fill: color("panel") } };
      default: {
        const size = plot.kind === "histogram" ? [1, Infinity] : [0.7, 60];
        const align = plot.kind === "histogram" ? 1 : 0;
        return { label, stroke, width: 0, fill: stroke, paths: uPlot.paths.bars({ size, align, gap: plot.kind === "histogram" ? 1 : 0 }),
          points: { show: false } };
      }
    }
  }

  function course(one) {
    return one.stepped ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear();
  }

  function stacked(plot) {
    return plot.kind === "bars" && !plot.overlaid;
  }

  // Stacked bars: each stands on those shown after it, and the legend shows its own value.
  function stack(plot, shown) {
    const sums = plot.labels.map(() => 0);
    const tops = plot.series.map(() => null);
    for (let s = plot.series.length - 1; s >= 0; s--) {
      if (shown[s]) plot.series[s].values.forEach((v, i) => { sums[i] += v; });
      tops[s] = sums.slice();
    }
    return [plot.labels.map((_, i) => i)].concat(tops);
  }

  // Shades what the statistics leave out: the warm-up and the drain.
  function shadeOutside(plot) {
    return (u) => {
      const { ctx, bbox } = u;
      const at = (t) => Math.min(Math.max(u.valToPos(t, "x", true), bbox.left), bbox.left + bbox.width);
      const [start, end] = plot.window.map(at);
      ctx.save();
      ctx.fillStyle = color("shade");
      if (plot.window[0] > 0) ctx.fillRect(bbox.left, bbox.top, start - bbox.left, bbox.height);
      ctx.fillRect(end, bbox.top, bbox.left + bbox.width - end, bbox.height);
      ctx.restore();
    };
  }

  function options(plot, width) {
    const bars = plot.kind === "bars";
    const series = plot.series.map((one) => style(plot, one));
    series.forEach((s, i) => { s.value = (u, v, si, at) => number(at == null ? null : plot.series[i].values[at]); });
    const x = { label: plot.kind === "time" ? "s" : xLabel(plot) };
    x.value = (u, v) => v == null ? "–" : bars ? plot.labels[v] : number(v);
    const found = { width, height: HEIGHT, axes: axes(plot), series: [x].concat(series), legend: { live: true },
      scales: { x: { time: false }, y: { range: fromZero } }, hooks: {},
      cursor: { drag: { x: true, y: false, uni: 20 }, points: { size: 6 } } };
    if (plot.y_span) found.scales.y.range = plot.y_span;
    // Shares of very different size; a bar stands on the axis.
    if (plot.log_y) found.scales.y = { distr: 3, log: 10, range: plot.kind === "bars" ? decades : undefined };
    if (plot.log_x) Object.assign(found.scales.x, { distr: 3, log: 10 });
    if (plot.band) found.bands = [{ series: plot.band.map((i) => i + 1), fill: color("band") }];
    found.scales.x.range = (u, min, max) => whole(plot, min, max) ? reach(plot) : [min, max];
    if (plot.kind === "time") {
      found.cursor.sync = { key: plot.group || "time", setSeries: false };
      found.hooks.drawClear = [shadeOutside(plot)];
    }
    if (stacked(plot)) {
      found.hooks.setSeries = [(u, i, changes) => {
        if (changes.show != null) u.setData(stack(plot, u.series.slice(1).map((s) => s.show)), false);
        u.redraw(true);
      }];
    }
    return found;
  }

  // What the x axis shows when nothing is zoomed.
  function reach(plot) {
    switch (plot.kind) {
      case "time": case "xy": return plot.span;
      case "bars": return [-0.6, plot.labels.length - 0.4];
      default: return [plot.x[0], plot.x[plot.x.length - 1] + plot.width];
    }
  }

  function whole(plot, min, max) {
    const last = plot.kind === "bars" ? plot.labels.length - 1 : plot.x[plot.x.length - 1];
    const first = plot.kind === "bars" ? 0 : plot.x[0];
    return min == null || (min <= first && max >= last);
  }

  function fromZero(u, min, max) {
    return [0, max == null || max <= 0 ? 1 : max * 1.05];
  }

  // Whole decades, so that every bar has a height.
  function decades(u, min, max) {
    const exponent = (value) => Math.log10(value == null || value <= 0 ? 1 : value);
    return [Math.pow(10, Math.floor(exponent(min) - 0.1)), Math.pow(10, Math.ceil(exponent(max)))];
  }

  // To uPlot, null interrupts a line and undefined does not: false marks places that a line has nothing to say about.
  function orAbsent(value) {
    return value === false ? undefined : value;
  }

  function draw(plot) {
    const box = document.getElementById("plot-" + plot.id);
    const x = plot.kind === "bars" ? plot.labels.map((_, i) => i) : plot.x;
    const data = stacked(plot) ? stack(plot, plot.series.map(() => true))
      : [x].concat(plot.series.map((one) => one.values.map(orAbsent)));
    const chart = new uPlot(options(plot, box.clientWidth), data, box);
    drawn.push({ chart, box });
  }

  function drawAll() {
    drawn.forEach(({ chart }) => chart.destroy());
    drawn = [];
    plots.forEach(draw);
  }

  drawAll();
  dark.addEventListener("change", drawAll);
  let pending = 0;
  window.addEventListener("resize", () => {
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(() => drawn.forEach(({ chart, box }) => chart.setSize({ width: box.clientWidth, height: HEIGHT })));
  });
})();
