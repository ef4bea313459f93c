(() => {
  const perPage = 24;
  const labels = [...new Set(data.labels)].filter(Boolean).sort();
  const pictured = Object.keys(data.pictures).map(Number).sort((a, b) => a - b);
  let page = 0;
  options($("gkind"), data.kinds.map((kind, k) => [k, kind.title]));
  options($("gclass"), [["", "all"], ...labels.map((label) => [label, label])]);
  $("gkind").value = String(data.thumb);

  const refresh = () => {
    const kind = Number($("gkind").value);
    const label = $("gclass").value;
    const flagged = $("gflag").checked;
    const chosen = pictured.filter((i) => (!label || data.labels[i] === label) && data.pictures[i][kind] && (!flagged || data.flags[i].some((k) => data.rules[k].level !== "note")));
    const pages = Math.max(1, Math.ceil(chosen.length / perPage));
    page = Math.min(Math.max(page, 0), pages - 1);
    $("glegend").hidden = !(data.kinds[kind] && data.kinds[kind].legend);
    $("gtiles").replaceChildren(...chosen.slice(page * perPage, (page + 1) * perPage).map((i) => {
      const tile = make("button", { type: "button" });
      const line = make("span", { class: "name" });
      line.append(make("span", {}, data.rows[i][0]), make("span", { class: "quiet" }, data.labels[i]));
      tile.append(pictureOf(i, kind), line);
      tile.addEventListener("click", () => viewer.open(i, chosen));
      return tile;
    }));
    $("gpage").textContent = `page ${page + 1} of ${pages}, ${chosen.length} slices`;
    $("gprev").disabled = page === 0;
    $("gnext").disabled = page === pages - 1;
  };
  for (const id of ["gkind", "gclass", "gflag"]) $(id).addEventListener("change", () => { if (id !== "gkind") page = 0; refresh(); });
  $("gprev").addEventListener("click", () => { page -= 1; refresh(); });
  $("gnext").addEventListener("click", () => { page += 1; refresh(); });
  refresh();
})();
