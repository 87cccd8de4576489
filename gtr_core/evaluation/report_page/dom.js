// Small pieces that all parts of the page use. Text only ever enters the page as text nodes.
const data = JSON.parse(document.getElementById("report-data").textContent);
const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function figureText(column, value) {
  return value === null ? "–" : value.toFixed(column.decimals);
}

function counted(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

// The row of an object and a method; undefined when it has not been run yet.
const rowsByPair = new Map(data.rows.map((row) => [`${row.object} ${row.method}`, row]));
const rowOf = (object, method) => rowsByPair.get(`${object} ${method}`);

function rowFigures(row, keys = ["psnr", "ssim", "lpips", "cd", "iou"]) {
  return data.columns.filter((column) => keys.includes(column.key) && row.figures[column.key] !== null);
}

function choice(group, options, current, onchoose) {
  const buttons = options.map(([value, text]) =>
    element("button", { type: "button", "aria-pressed": String(value === current), onclick: () => choose(value) }, text));
  function choose(value) {
    options.forEach(([other], index) => buttons[index].setAttribute("aria-pressed", String(other === value)));
    onchoose(value);
  }
  group.replaceChildren(...buttons);
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
