// One dot per object and method along a figure: how far the objects lie apart, and which ones are the hard ones.
const SPREAD = { row: 30, left: 8, right: 16, top: 6, axis: 28, radius: 4.5 };
const spread = { key: "psnr", width: 0 };

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Round steps of 1, 2 or 5 times a power of ten that divide a range in about five.
function axisSteps(low, high) {
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((width) => width >= raw);
  const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, k) => ({ at: (first + k) * step, text: ((first + k) * step).toFixed(places) }));
}

function spreadDot(column, row, x, y) {
  const value = row.figures[column.key];
  const text = `${data.objects[row.object].name}, ${data.methods[row.method]}: ${column.title} ${figureText(column, value)}`;
  const dot = svg("circle", { cx: x(value), cy: y(row.method), r: SPREAD.radius, "data-object": row.object }, svg("title", {}, text));
  dot.addEventListener("click", () => { location.hash = `#object-${row.object}`; });
  return dot;
}

function drawSpread() {
  const column = data.columns.find((entry) => entry.key === spread.key);
  const rows = data.rows.filter((row) => row.status === "ok" && row.figures[column.key] !== null);
  const values = rows.map((row) => row.figures[column.key]);
  const holder = byId("spread-plot");
  const width = holder.clientWidth;
  const names = Math.min(240, width * 0.4);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const margin = (high - low) * 0.03;
  [low, high] = [low - margin, high + margin];
  const x = (value) => names + SPREAD.left + ((value - low) / (high - low)) * (width - names - SPREAD.left - SPREAD.right);
  const y = (method) => SPREAD.top + SPREAD.row * (method + 0.5);
  const bottom = SPREAD.top + SPREAD.row * data.methods.length;
  const grid = axisSteps(low, high).flatMap(({ at, text }) => [svg("line", { x1: x(at), x2: x(at), y1: SPREAD.top, y2: bottom, class: "grid" }),
    svg("text", { x: x(at), y: bottom + 19, "text-anchor": "middle" }, text)]);
  const labels = data.methods.map((title, method) => svg("text", { x: 0, y: y(method) + 4.5, class: "method" }, shortened(title, names), svg("title", {}, title)));
  const means = data.summary.lines.flatMap((line, method) => {
    const value = line.means[column.key];
    return value === null ? [] : [svg("line", { x1: x(value), x2: x(value), y1: y(method) - 10, y2: y(method) + 10, class: "mean" })];
  });
  holder.replaceChildren(svg("svg", { width, height: bottom + SPREAD.axis, role: "img",
    "aria-label": `${column.title} of every object by method; the same figures are in the table below` },
  ...grid, ...labels, ...rows.map((row) => spreadDot(column, row, x, y)), ...means));
}

function shortened(text, width) {
  const room = Math.floor(width / 7.6);
  return text.length > room ? `${text.slice(0, room - 1)}…` : text;
}

// The dots of one object in all methods stand out together.
function markObject(object) {
  for (const dot of byId("spread-plot").querySelectorAll("circle")) dot.classList.toggle("marked", dot.dataset.object === object);
  byId("spread-plot").classList.toggle("marking", object !== undefined);
  byId("spread-object").textContent = object === undefined ? "" : data.objects[Number(object)].name;
}

function showSpread() {
  const known = data.columns.filter((column) => data.rows.some((row) => row.figures[column.key] !== null));
  byId("spread").hidden = known.length === 0 || data.objects.length < 2;
  if (byId("spread").hidden) return;
  spread.key = known[0].key;
  byId("spread-figure").append(...known.map((column) => element("option", { value: column.key }, column.heading)));
  byId("spread-figure").addEventListener("change", (event) => { spread.key = event.target.value; drawSpread(); });
  byId("spread-plot").addEventListener("pointerover", (event) => markObject(event.target.closest("circle")?.dataset.object));
  byId("spread-plot").addEventListener("pointerleave", () => markObject(undefined));
  new ResizeObserver(([entry]) => {
    if (Math.round(entry.contentRect.width) === spread.width) return; // only its own height changed
    spread.width = Math.round(entry.contentRect.width);
    drawSpread();
  }).observe(byId("spread-plot"));
}
