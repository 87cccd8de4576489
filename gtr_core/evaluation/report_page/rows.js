// The table of all rows: sorted by a click on a heading, filtered together with the pictures.
const filter = { text: "", methods: new Set(data.methods.keys()), failed: false };
const rowColumns = [...data.columns, ...data.sizes];
const sorting = { key: "object", descending: false };
let tableRows = [];

function rowValue(row, key) {
  if (key === "object" || key === "method") return row[key];
  return row.status === "ok" ? row.figures[key] : null;
}

function compareRows(a, b) {
  const [x, y] = [rowValue(a, sorting.key), rowValue(b, sorting.key)];
  if (x !== y) {
    if (x === null) return 1; // what has no figure comes last either way
    if (y === null) return -1;
    return (x < y ? -1 : 1) * (sorting.descending ? -1 : 1);
  }
  return a.object - b.object || a.method - b.method;
}

function figureCell(column, row) {
  const value = row.figures[column.key];
  const why = value === null ? row.missing[column.key] ?? null : null;
  return element("td", { class: value === null ? "figure none" : "figure", title: why }, figureText(column, value));
}

function tableRow(row) {
  const name = data.objects[row.object].name;
  const link = element("a", { href: `#object-${row.object}` }, name);
  const cells = row.status === "ok"
    ? rowColumns.map((column) => figureCell(column, row))
    : [element("td", { colspan: rowColumns.length, class: "reason" }, `Failed: ${row.reason}`)];
  return element("tr", { "data-object": row.object, "data-method": row.method },
    element("th", { scope: "row", class: "name" }, link), element("td", { class: "name" }, data.methods[row.method]), ...cells);
}

function sortableHead(key, text, better, hint) {
  const firstDescending = better === "up"; // the first click brings the best to the top
  const click = () => {
    const again = sorting.key === key;
    sorting.descending = again ? !sorting.descending : firstDescending;
    sorting.key = key;
    showOrder();
  };
  return element("th", { scope: "col", "data-key": key, class: hint ? "figure" : "" },
    element("button", { type: "button", onclick: click, title: hint ?? null }, text));
}

function showOrder() {
  tableRows.sort((a, b) => compareRows(a.row, b.row));
  byId("rows-table").querySelector("tbody").append(...tableRows.map((entry) => entry.shown));
  for (const head of byId("rows-table").querySelectorAll("th[data-key]")) {
    const here = head.dataset.key === sorting.key;
    head.setAttribute("aria-sort", here ? (sorting.descending ? "descending" : "ascending") : "none");
  }
}

function matches(object, method) {
  const row = rowOf(object, method);
  return data.objects[object].name.toLowerCase().includes(filter.text) && filter.methods.has(method)
    && (!filter.failed || (row !== undefined && row.status !== "ok"));
}

function applyFilter() {
  let shown = 0;
  for (const { row, shown: tr } of tableRows) {
    tr.hidden = !matches(row.object, row.method);
    shown += tr.hidden ? 0 : 1;
  }
  const later = data.pending ? `; ${data.pending} not run yet` : "";
  byId("filter-count").textContent = `${shown} of ${counted(tableRows.length, "row")}${later}`;
  const chosen = filter.methods.size === data.methods.length ? "all" : `${filter.methods.size} of ${data.methods.length}`;
  byId("filter-methods").querySelector("summary").textContent = `Methods: ${chosen}`;
  byId("rows-table").classList.toggle("empty", shown === 0);
  filterGallery();
}

function showFilters() {
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filter-object").addEventListener("input", (event) => {
    filter.text = event.target.value.trim().toLowerCase();
    applyFilter();
  });
  byId("filter-failed").addEventListener("change", (event) => { filter.failed = event.target.checked; applyFilter(); });
  byId("filter-failed-label").hidden = data.failed === 0;
  const boxes = data.methods.map((title, method) => element("input", { type: "checkbox", checked: true,
    onchange: (event) => { filter.methods[event.target.checked ? "add" : "delete"](method); applyFilter(); } }));
  const all = (checked) => () => {
    boxes.forEach((box) => { box.checked = checked; });
    filter.methods = new Set(checked ? data.methods.keys() : []);
    applyFilter();
  };
  const menu = byId("filter-methods");
  menu.querySelector(".menu-list").append(
    element("div", { class: "menu-all" }, element("button", { type: "button", onclick: all(true) }, "All"),
      element("button", { type: "button", onclick: all(false) }, "None")),
    ...boxes.map((box, method) => element("label", { class: "check" }, box, ` ${data.methods[method]}`)));
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => { if (event.key === "Escape") { menu.open = false; menu.querySelector("summary").focus(); } });
}

function showRows() {
  const heads = [sortableHead("object", "Object"), sortableHead("method", "Method"),
    ...rowColumns.map((column) => sortableHead(column.key, column.heading, column.better, column.hint))];
  tableRows = data.rows.map((row) => ({ row, shown: tableRow(row) }));
  byId("rows-table").append(element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody")),
    element("p", { class: "nothing" }, data.rows.length ? "No row matches." : "No rows yet."));
  showFilters();
  showOrder();
}
