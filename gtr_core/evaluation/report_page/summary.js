// Header and table of means.
function showHeader() {
  byId("overview").textContent = data.overview;
  const pairs = (list) => list.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  byId("facts").append(...data.facts.map((fact) => element("div", {}, ...pairs([fact]))));
  byId("protocol").querySelector("dl").append(...pairs(data.protocol));
}

function figureHead(column, scope = "col") {
  return element("th", { scope, title: column.hint, class: column.paper ? "figure" : "figure more" }, column.heading);
}

function summaryCell(column, cell) {
  const mark = cell.mark ? [element("sup", {}, cell.mark)] : [];
  const shown = cell.best ? element("strong", {}, cell.text) : cell.text;
  return element("td", { class: `figure${cell.best ? " best" : ""}${cell.mark ? " none" : ""}` }, shown, ...mark);
}

function showSummary() {
  const { lines, notes, footnotes } = data.summary;
  const head = element("tr", {}, element("th", { scope: "col" }, "Method"), ...data.columns.map((column) => figureHead(column)),
    element("th", { scope: "col", class: "figure" }, "Objects"));
  const rows = lines.map((line, method) => element("tr", {},
    element("th", { scope: "row", class: "name" }, data.methods[method]),
    ...line.cells.map((cell, k) => summaryCell(data.columns[k], cell)),
    element("td", { class: "figure" }, line.objects)));
  byId("summary-table").append(element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
  const marks = footnotes.map(([mark, text]) => element("p", {}, element("sup", {}, mark), ` ${text}`));
  byId("summary-notes").append(...notes.map((note) => element("p", {}, note)), ...marks);
}
