(() => {
  if (!$("splot")) return;
  const narrow = matchMedia("(max-width: 34rem)").matches; // a phone: as many pixels as there are, so that letters keep their size
  const [width, height, left, bottom, top, right] = narrow ? [340, 360, 52, 46, 14, 8] : [960, 440, 70, 46, 14, 20];
  const most = 3000;
  const numeric = data.columns.map((column, c) => [c, column]).filter(([c, column]) => column.digits !== null && data.rows.some((row) => typeof row[c] === "number"));
  const svg = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const median = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    const half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };
  const zScores = (values) => {
    if (values.length < data.outliers.fewest) return values.map(() => 0);
    const middle = median(values);
    const away = values.map((v) => Math.abs(v - middle));
    // Where most values are equal the median deviation is 0: the mean one takes its place, as in flags/outliers.py.
    const scale = median(away) / 0.6745 || (away.reduce((a, b) => a + b, 0) / away.length) * 1.2533;
    return away.map((v) => (scale ? v / scale : 0));
  };
  const tick = (v, column) => (column.percent ? v * 100 : v).toLocaleString("en-US", { maximumFractionDigits: 3 }) + (column.percent ? "%" : "");
  const ticks = (low, high) => {
    const rough = (high - low || 1) / (narrow ? 3 : 6);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough);
    const values = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) values.push(v);
    return values;
  };

  const draw = () => {
    const [cx, cy] = [Number($("sx").value), Number($("sy").value)];
    const [x, y] = [data.columns[cx], data.columns[cy]];
    let indices = data.rows.map((_, i) => i).filter((i) => typeof data.rows[i][cx] === "number" && typeof data.rows[i][cy] === "number");
    const both = indices.length;
    if (both > most) indices = indices.filter((i) => (((i * 2654435761) % 4294967296) / 4294967296) * both < most || data.flags[i].some((f) => data.rules[f].level === "warning")).slice(0, 2 * most);
    $("snote").textContent = both > indices.length ? `${indices.length} of ${both} slices drawn` : `${both} slices`;
    const plot = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Scatter plot of ${y.title} against ${x.title}` });
    const xs = indices.map((i) => data.rows[i][cx]);
    const ys = indices.map((i) => data.rows[i][cy]);
    const least = (v) => v.reduce((a, b) => Math.min(a, b), Infinity);
    const largest = (v) => v.reduce((a, b) => Math.max(a, b), -Infinity);
    const [x0, x1, y0, y1] = [least(xs), largest(xs), least(ys), largest(ys)];
    const px = (v) => left + 12 + ((v - x0) / (x1 - x0 || 1)) * (width - left - right - 24);
    const py = (v) => height - bottom - 12 - ((v - y0) / (y1 - y0 || 1)) * (height - bottom - top - 24);
    if (indices.length) {
      for (const v of ticks(x0, x1)) plot.append(svg("line", { class: "axis", x1: px(v), x2: px(v), y1: top, y2: height - bottom }), svg("text", { x: px(v), y: height - bottom + 16, "text-anchor": "middle" }, tick(v, x)));
      for (const v of ticks(y0, y1)) plot.append(svg("line", { class: "axis", x1: left, x2: width - right, y1: py(v), y2: py(v) }), svg("text", { x: left - 6, y: py(v) + 4, "text-anchor": "end" }, tick(v, y)));
    }
    plot.append(svg("text", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, narrow ? x.title : `${x.title} (${x.help})`));
    plot.append(svg("text", { x: 14, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(top + height - bottom) / 2})` }, y.title));
    const [zx, zy] = [zScores(xs), zScores(ys)];
    const far = indices.map((_, k) => k).filter((k) => Math.max(zx[k], zy[k]) > data.outliers.z).sort((a, b) => Math.max(zx[b], zy[b]) - Math.max(zx[a], zy[a])).slice(0, 12);
    indices.forEach((i, k) => {
      const named = `${data.rows[i][0]}: ${x.title} ${table.shownValue(xs[k], x)}, ${y.title} ${table.shownValue(ys[k], y)}${data.labels[i] ? `, ${data.labels[i]}` : ""}`;
      const point = svg("circle", { cx: px(xs[k]), cy: py(ys[k]), r: indices.length > 500 ? 3.2 : 5, fill: data.colors[data.labels[i]] || data.colors[""], tabindex: indices.length > 200 ? -1 : 0, role: "button", "aria-label": named });
      point.append(svg("title", {}, named));
      point.addEventListener("click", () => viewer.open(i));
      point.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); viewer.open(i); } });
      plot.append(point);
    });
    for (const k of far) plot.append(svg("text", { x: px(xs[k]) + (px(xs[k]) > width - 110 ? -8 : 8), y: py(ys[k]) - 5, "text-anchor": px(xs[k]) > width - 110 ? "end" : "start" }, data.rows[indices[k]][0]));
    const legend = make("ul", { class: "legend" });
    for (const [label, color] of Object.entries(data.colors)) {
      if (!data.labels.includes(label) || !label) continue;
      const item = make("li");
      const swatch = make("span", { class: "swatch" });
      swatch.style.background = color;
      item.append(swatch, label);
      legend.append(item);
    }
    $("splot").replaceChildren(plot, legend);
  };
  const pairs = numeric.map(([c, column]) => [c, column.title]);
  if (!pairs.length) return;
  for (const [id, key] of [["sx", "mean"], ["sy", "sd"]]) {
    options($(id), pairs);
    const first = numeric.find(([, column]) => column.key === key);
    if (first) $(id).value = String(first[0]);
    $(id).addEventListener("change", draw);
  }
  draw();
})();
