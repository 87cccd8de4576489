// One result large; the arrow keys flip through the methods in place, and Space shows the truth while it is held.
const lightbox = { object: 0, method: TRUTH };

function lightboxMethods() {
  return [TRUTH, ...data.methods.keys()].filter((method) => method === TRUTH
    ? data.objects[lightbox.object].truth.length > 0 : (rowOf(lightbox.object, method)?.picture ?? []).length > 0);
}

function showLightbox(method, inputs = false) {
  const { name, truth, inputs: inputsPicture } = data.objects[lightbox.object];
  const row = method === TRUTH ? undefined : rowOf(lightbox.object, method);
  const title = inputs ? "Input views" : method === TRUTH ? "Ground truth" : data.methods[method];
  byId("lightbox-title").textContent = `${name}: ${title}`;
  byId("lightbox-figures").textContent = row === undefined ? ""
    : rowFigures(row).map((column) => `${column.title} ${figureText(column, row.figures[column.key])}`).join("   ");
  const stage = byId("lightbox-stage");
  const picture = inputs ? inputsPicture : method === TRUTH ? truth : row.picture;
  picture.forEach((asset, k) => {
    stage.children[k].src = pictureUrl(asset);
    stage.children[k].alt = inputs ? `Input views of ${name}` : `${STRIPS[k]} of ${name}, ${title}`;
  });
  [...stage.children].forEach((image, k) => { image.hidden = k >= picture.length; });
  stage.classList.toggle("inputs", inputs);
}

function openLightbox(object, method) {
  Object.assign(lightbox, { object, method });
  showLightbox(method);
  for (const id of ["previous", "next", "truth"]) byId(`lightbox-${id}`).hidden = false;
  byId("lightbox").showModal();
  byId("lightbox-next").focus();
}

function openInputs(object) {
  Object.assign(lightbox, { object, method: null });
  showLightbox(TRUTH, true);
  for (const id of ["previous", "next", "truth"]) byId(`lightbox-${id}`).hidden = true;
  byId("lightbox").showModal();
}

function stepLightbox(step) {
  if (lightbox.method === null) return;
  const methods = lightboxMethods();
  const at = methods.indexOf(lightbox.method);
  lightbox.method = methods[(at + step + methods.length) % methods.length];
  showLightbox(lightbox.method);
}

function holdTruth(held) {
  if (lightbox.method === null || data.objects[lightbox.object].truth.length === 0) return;
  showLightbox(held ? TRUTH : lightbox.method);
}

function prepareLightbox() {
  byId("lightbox-previous").addEventListener("click", () => stepLightbox(-1));
  byId("lightbox-next").addEventListener("click", () => stepLightbox(1));
  const hold = byId("lightbox-truth");
  hold.addEventListener("pointerdown", () => holdTruth(true));
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) hold.addEventListener(end, () => holdTruth(false));
  byId("lightbox").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") stepLightbox(-1);
    else if (event.key === "ArrowRight") stepLightbox(1);
    else if (event.key === " " && !event.target.classList.contains("close")) holdTruth(true);
    else return;
    event.preventDefault();
  });
  byId("lightbox").addEventListener("keyup", (event) => {
    if (event.key !== " " || event.target.classList.contains("close")) return;
    event.preventDefault();
    holdTruth(false);
  });
}
