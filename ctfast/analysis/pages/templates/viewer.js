const pictureOf = (index, kind) => {
  const uri = data.pictures[index] && data.pictures[index][kind];
  if (!uri) return make("span", { class: "quiet" }, "no picture");
  return make("img", { src: uri, alt: `${data.names[index]}: ${data.kinds[kind].title}`, width: data.side, height: data.side, decoding: "async" });
};

const viewer = (() => {
  const dialog = $("viewer");
  let order = [];
  let at = 0;
  let last = null;

  const rows = (pairs) => {
    const table = make("table");
    const body = make("tbody");
    for (const [name, value] of pairs) {
      const row = make("tr");
      row.append(make("th", { scope: "row" }, name), make("td", {}, value));
      body.append(row);
    }
    table.append(body);
    return table;
  };

  const show = () => {
    const index = order[at];
    $("vtitle").textContent = data.names[index];
    const shots = make("div", { class: "shots" });
    data.kinds.forEach((kind, k) => {
      if (!data.pictures[index] || !data.pictures[index][k]) return;
      const figure = make("figure");
      figure.append(pictureOf(index, k), make("figcaption", {}, kind.title));
      shots.append(figure);
    });
    if (!shots.children.length) shots.append(make("p", { class: "quiet" }, "This page holds no picture of the slice: of large sets it shows flagged and sampled slices only."));
    const facts = make("div", { class: "cols" });
    const known = data.columns.map((column, c) => [column.title, table.shownValue(data.rows[index][c], column)]).filter(([, value]) => value);
    const middle = Math.ceil(known.length / 2);
    facts.append(rows(known.slice(0, middle)), rows(known.slice(middle)));
    const flags = make("ul");
    for (const [rule, value] of data.details[index]) {
      const item = make("li");
      item.append(make("span", { class: `badge ${data.rules[rule].level}` }, data.rules[rule].level), ` ${data.rules[rule].title}: ${value}`);
      flags.append(item);
    }
    $("vbody").replaceChildren(shots, make("h3", {}, "Flags"), flags.children.length ? flags : make("p", { class: "quiet" }, "No rule was met."), make("h3", {}, "Statistics"), facts);
    $("vprev").disabled = at === 0;
    $("vnext").disabled = at === order.length - 1;
    dialog.scrollTop = 0;
  };
  const step = (by) => {
    if (at + by < 0 || at + by >= order.length) return;
    at += by;
    show();
  };
  $("vprev").addEventListener("click", () => step(-1));
  $("vnext").addEventListener("click", () => step(1));
  $("vclose").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { if (last) last.focus(); });
  return {
    open(index, among) {
      last = document.activeElement;
      order = among && among.includes(index) ? among : [index];
      at = order.indexOf(index);
      show();
      dialog.showModal();
      $("vclose").focus();
    },
  };
})();

for (const holder of document.querySelectorAll("[data-pic]")) {
  const index = Number(holder.dataset.pic);
  if (data.pictures[index]) holder.replaceChildren(pictureOf(index, data.thumb));
}
for (const button of document.querySelectorAll("[data-slice]")) {
  button.addEventListener("click", () => viewer.open(Number(button.dataset.slice)));
}
