const table = (() => {
  const perPage = 50;
  const body = $("slices").tBodies[0];
  const head = $("slices").tHead.rows[0];
  const text = data.rows.map((row, i) => [data.names[i], ...row, ...data.flags[i].map((k) => `${data.rules[k].key} ${data.rules[k].title}`)].join(" ").toLowerCase());
  const all = data.rows.map((_, i) => i);
  let shown = all;
  let order = { column: -1, down: false };
  let page = 0;

  const shownValue = (value, column) => {
    if (value === null || value === "") return "";
    if (column.digits === null || typeof value !== "number") return String(value);
    const number = column.percent ? value * 100 : value;
    return number.toLocaleString("en-US", { minimumFractionDigits: column.digits, maximumFractionDigits: column.digits }) + (column.percent ? "%" : "");
  };

  const compare = (a, b) => {
    const x = data.rows[a][order.column];
    const y = data.rows[b][order.column];
    const emptyX = x === null || x === "";
    const emptyY = y === null || y === "";
    if (emptyX || emptyY) return emptyX - emptyY || a - b;
    const way = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return (order.down ? -way : way) || a - b;
  };

  const draw = (from, to) => {
    body.replaceChildren(...shown.slice(from, to).map((i) => {
      const row = make("tr");
      data.columns.forEach((column, c) => {
        const value = shownValue(data.rows[i][c], column);
        if (c === 0) {
          const cell = make("th", { scope: "row" });
          const open = make("button", { type: "button", class: "link", title: data.names[i] }, value);
          open.addEventListener("click", () => viewer.open(i, shown));
          cell.append(open);
          row.append(cell);
        } else {
          const cell = make("td", column.digits === null ? {} : { class: "n" }, value);
          if (column.key === "flags") cell.title = data.flags[i].map((k) => data.rules[k].title).join("; ");
          else if (value.length > 24) cell.title = value;
          row.append(cell);
        }
      });
      return row;
    }));
  };

  const refresh = () => {
    const pages = Math.max(1, Math.ceil(shown.length / perPage));
    page = Math.min(Math.max(page, 0), pages - 1);
    draw(page * perPage, (page + 1) * perPage);
    $("tpage").textContent = `page ${page + 1} of ${pages}`;
    $("tcount").textContent = `${shown.length.toLocaleString("en-US")} of ${all.length.toLocaleString("en-US")} slices`;
    $("tprev").disabled = page === 0;
    $("tnext").disabled = page === pages - 1;
  };

  const search = () => {
    const words = $("tsearch").value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = all.filter((i) => words.every((word) => text[i].includes(word)));
    if (order.column >= 0) shown.sort(compare);
    page = 0;
    refresh();
  };

  data.columns.forEach((column, c) => {
    const cell = make("th", { scope: "col", title: column.help, class: column.digits === null ? "" : "n" });
    const button = make("button", { type: "button" }, column.title);
    button.addEventListener("click", () => {
      order = { column: c, down: order.column === c ? !order.down : false };
      [...head.cells].forEach((other, k) => {
        if (k === c) other.setAttribute("aria-sort", order.down ? "descending" : "ascending");
        else other.removeAttribute("aria-sort");
        other.firstChild.textContent = data.columns[k].title + (k === c ? (order.down ? " ▼" : " ▲") : "");
      });
      search();
    });
    cell.append(button);
    head.append(cell);
  });
  $("tsearch").addEventListener("input", search);
  $("tprev").addEventListener("click", () => { page -= 1; refresh(); });
  $("tnext").addEventListener("click", () => { page += 1; refresh(); });
  window.addEventListener("beforeprint", () => draw(0, 1000));
  window.addEventListener("afterprint", refresh);
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", () => {
      $("tsearch").value = button.dataset.filter;
      search();
      $("table").scrollIntoView();
      $("tsearch").focus({ preventScroll: true });
    });
  }
  search();
  return { shownValue };
})();
