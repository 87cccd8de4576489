// Input, truth and every result of an object side by side; pictures are decoded when they come near the window.
const STRIPS = ["Render", "Normals", "Error"];
const TRUTH = -1;
const gallery = [];

function strip(picture, label, onclick) {
  if (picture === undefined) return element("div", { class: "strip nothing" }, "No picture");
  const image = element("img", { alt: "", "data-asset": picture });
  return element("button", { type: "button", class: "strip", "aria-label": `${label}: enlarge`, title: "Enlarge", onclick }, image);
}

function lineLabel(object, method, row) {
  const title = method === TRUTH ? "Ground truth" : data.methods[method];
  const figures = row === undefined ? [] : rowFigures(row).map((column) => element("span", {},
    element("span", { class: "what" }, column.title), ` ${figureText(column, row.figures[column.key])}`));
  const mesh = method === TRUTH ? data.objects[object].mesh : row?.mesh ?? null;
  const open = mesh === null ? null : element("button", { type: "button", class: "small",
    "aria-label": `${title} in 3D`, onclick: () => openViewer(object, method) }, "3D");
  const notes = row !== undefined && row.notes.length
    ? element("details", { class: "notes" }, element("summary", {}, counted(row.notes.length, "note")),
      ...row.notes.map((note) => element("p", {}, note))) : null;
  return element("div", { class: "label" }, element("div", { class: "title" }, element("strong", {}, title), open),
    element("div", { class: "figures" }, ...figures), notes);
}

function galleryLine(object, method) {
  const name = data.objects[object].name;
  const row = method === TRUTH ? undefined : rowOf(object, method);
  const title = method === TRUTH ? "ground truth" : data.methods[method];
  const label = lineLabel(object, method, row);
  const line = (...cells) => element("div", { class: "line", "data-method": method }, label, ...cells);
  if (method !== TRUTH && row === undefined) return line(element("p", { class: "message" }, "Not run yet."));
  if (row !== undefined && row.status !== "ok") return line(element("p", { class: "message reason" }, `Failed: ${row.reason}`));
  const picture = method === TRUTH ? data.objects[object].truth : row.picture;
  const enlarge = () => openLightbox(object, method);
  const strips = STRIPS.slice(0, method === TRUTH ? 2 : 3).map((kind, k) => strip(picture[k], `${kind}, ${title}, ${name}`, enlarge));
  return line(...strips, ...(method === TRUTH ? [inputStrip(object, name)] : []));
}

function inputStrip(object, name) {
  const made = strip(data.objects[object].inputs[0], `Input views, ${name}`, () => openInputs(object));
  made.classList.add("whole");
  return made;
}

function errorScale() {
  const bar = element("span", { class: "bar-scale" });
  bar.style.backgroundImage = `linear-gradient(to right, ${data.error.colors.join(", ")})`;
  return element("span", { class: "scale", title: "Absolute colour error, mean over the channels" }, "0", bar, data.error.largest);
}

function objectSection(object) {
  const { name } = data.objects[object];
  const heads = (...texts) => element("div", { class: "line heads", "aria-hidden": "true" }, ...texts.map((text) => element("span", {}, text)));
  const error = heads("", "", "", "Error");
  error.lastChild.append(errorScale());
  const methods = [TRUTH, ...data.methods.keys()];
  const lines = methods.map((method) => galleryLine(object, method));
  const some = methods.some((method) => meshAsset(object, method) !== null);
  const compare = some ? element("button", { type: "button", onclick: () => openViewer(object, TRUTH) }, "Compare in 3D") : null;
  const shown = element("section", { class: "object", id: `object-${object}`, "aria-labelledby": `object-title-${object}` },
    element("div", { class: "heading" }, element("h3", { id: `object-title-${object}` }, name), ...(compare === null ? [] : [compare])),
    heads("", "Render", "Normals", "Input views"), lines[0], error, ...lines.slice(1));
  gallery.push({ object, shown, lines: lines.slice(1) });
  return shown;
}

function filterGallery() {
  for (const { object, shown, lines } of gallery) {
    lines.forEach((line, method) => { line.hidden = !matches(object, method); });
    shown.hidden = lines.every((line) => line.hidden);
  }
}

function showGallery() {
  byId("objects").append(...data.objects.map((_, object) => objectSection(object)));
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      const image = target.querySelector("img");
      image.src = pictureUrl(image.dataset.asset);
    }
  }, { rootMargin: "800px" });
  for (const holder of byId("objects").querySelectorAll("button.strip")) near.observe(holder);
  const views = (count) => byId("objects").style.setProperty("--shown", count);
  const counts = [4, 2, 1].filter((count) => count <= data.views);
  choice(byId("view-count"), counts.map((count) => [count, counted(count, "view")]), counts[0], views);
  views(counts[0]);
}
