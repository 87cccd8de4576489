// Two meshes side by side under one camera, drawn with three.js.
const MODES = [["color", "Colour"], ["shape", "Shape"], ["normal", "Normals"], ["wire", "Wireframe"]];
const FIELD_OF_VIEW = 30;
const START = { azimuth: 0.5, elevation: 0.35 };
const KEPT = 24; // meshes that stay decoded
const REACH = 1.35; // radius that holds an object whose longest side is 1.8
const viewer = { object: 0, left: TRUTH, right: TRUTH, mode: "color", three: null, bodies: new Map(), frame: 0 };

function loadThree() {
  viewer.loading ??= unzipped(data.three).then((code) => new Promise((resolve, reject) => {
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    document.head.append(element("script", { src: url, onload: resolve, onerror: reject }));
  })).then(prepareThree);
  return viewer.loading;
}

function prepareThree() {
  THREE.ColorManagement.enabled = false; // colours are shown as they are in the pictures
  const renderer = new THREE.WebGLRenderer({ canvas: byId("canvas"), antialias: true, alpha: true });
  renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
  renderer.setScissorTest(true);
  const camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 0.05, 100);
  const controls = new THREE.OrbitControls(camera, byId("canvas"));
  controls.minDistance = 0.5;
  controls.maxDistance = 40;
  controls.addEventListener("change", requestDraw);
  const light = new THREE.DirectionalLight(0xffffff, 2.2);
  light.position.set(0.4, 0.6, 1);
  camera.add(light);
  const side = THREE.DoubleSide;
  const materials = {
    color: new THREE.MeshBasicMaterial({ vertexColors: true, side }),
    shape: new THREE.MeshLambertMaterial({ color: 0xb8bcc2, flatShading: true, side }),
    normal: new THREE.MeshNormalMaterial({ flatShading: true, side }),
    wire: new THREE.MeshBasicMaterial({ vertexColors: true, wireframe: true, side }),
  };
  const scene = new THREE.Scene();
  scene.add(camera, new THREE.HemisphereLight(0xffffff, 0x888888, 1.2));
  viewer.three = { renderer, camera, controls, materials, scene };
  new ResizeObserver(requestDraw).observe(byId("stage"));
}

function meshAsset(object, method) {
  return method === TRUTH ? data.objects[object].mesh : rowOf(object, method)?.mesh ?? null;
}

async function body(asset) {
  if (!viewer.bodies.has(asset)) {
    const { positions, colors, indices } = await unpackedMesh(asset);
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(colors, 3, true));
    geometry.setIndex(new THREE.BufferAttribute(indices, 1));
    viewer.bodies.set(asset, new THREE.Mesh(geometry));
    forgetOldest();
  }
  return viewer.bodies.get(asset);
}

function forgetOldest() {
  for (const [asset, old] of viewer.bodies) {
    if (viewer.bodies.size <= KEPT) return;
    if (viewer.shown?.includes(old)) continue;
    old.geometry.dispose();
    viewer.bodies.delete(asset);
  }
}

function resetCamera() {
  const { camera, controls } = viewer.three;
  const [width, height] = panes()[0].slice(2);
  const half = (FIELD_OF_VIEW / 2) * (Math.PI / 180);
  const narrow = Math.atan(Math.tan(half) * Math.min(1, width / height));
  controls.target.set(0, 0, 0);
  placeCamera(START.azimuth, START.elevation, REACH / Math.sin(narrow));
  camera.updateProjectionMatrix();
}

function placeCamera(azimuth, elevation, distance) {
  const { camera, controls } = viewer.three;
  const high = Math.max(-1.55, Math.min(1.55, elevation));
  camera.position.set(Math.sin(azimuth) * Math.cos(high), Math.sin(high), Math.cos(azimuth) * Math.cos(high));
  camera.position.multiplyScalar(distance).add(controls.target);
  controls.update();
  requestDraw();
}

function turnCamera(azimuth, elevation, zoom) {
  const { camera, controls } = viewer.three;
  const offset = camera.position.clone().sub(controls.target);
  const distance = offset.length();
  const near = Math.max(controls.minDistance, Math.min(controls.maxDistance, distance * zoom));
  placeCamera(Math.atan2(offset.x, offset.z) + azimuth, Math.asin(offset.y / distance) + elevation, near);
}

// x, y from the lower left, width, height of the two panes: side by side, or one above the other on a narrow screen.
function panes() {
  const { clientWidth: width, clientHeight: height } = byId("stage");
  return width >= height ? [[0, 0, width / 2, height], [width / 2, 0, width / 2, height]]
    : [[0, height / 2, width, height / 2], [0, 0, width, height / 2]];
}

function requestDraw() {
  viewer.request ??= requestAnimationFrame(() => { viewer.request = null; draw(); });
}

function draw() {
  if (!byId("viewer").open || viewer.three === null) return;
  const { renderer, camera, materials, scene } = viewer.three;
  const { clientWidth, clientHeight } = byId("stage");
  byId("stage").classList.toggle("stacked", clientWidth < clientHeight);
  renderer.setPixelRatio(window.devicePixelRatio);
  renderer.setSize(clientWidth, clientHeight, false);
  panes().forEach(([x, y, width, height], index) => {
    const shown = viewer.shown?.[index] ?? null;
    renderer.setViewport(x, y, width, height);
    renderer.setScissor(x, y, width, height);
    camera.aspect = width / height;
    camera.updateProjectionMatrix();
    if (shown !== null) {
      shown.material = materials[viewer.mode];
      scene.add(shown);
    }
    renderer.render(scene, camera);
    if (shown !== null) scene.remove(shown);
  });
  viewer.frame += 1;
  byId("stage").dataset.frame = viewer.frame;
}

async function showBodies() {
  const { object } = viewer;
  const wanted = [viewer.left, viewer.right];
  const assets = wanted.map((method) => meshAsset(object, method));
  const bodies = await Promise.all(assets.map((asset) => (asset === null ? null : body(asset))));
  if (object !== viewer.object || wanted[0] !== viewer.left || wanted[1] !== viewer.right) return; // chosen anew meanwhile
  // The same body on both sides is fine: it is drawn once per pane.
  viewer.shown = bodies;
  [byId("pane-left"), byId("pane-right")].forEach((pane, index) => {
    const row = wanted[index] === TRUTH ? undefined : rowOf(object, wanted[index]);
    pane.querySelector("p").textContent = assets[index] === null ? paneReason(wanted[index], row)
      : row === undefined ? "" : rowFigures(row).map((column) => `${column.title} ${figureText(column, row.figures[column.key])}`).join("  ");
    pane.classList.toggle("empty", assets[index] === null);
  });
  byId("stage").dataset.shown = `${object} ${wanted.join(" ")}`;
  requestDraw();
}

function paneReason(method, row) {
  if (method === TRUTH) return "There is no mesh of the ground truth.";
  if (row === undefined) return "Not run yet.";
  return row.status === "ok" ? "There is no mesh." : `Failed: ${row.reason}`;
}

async function openViewer(object, method) {
  const first = [...data.methods.keys()].find((other) => meshAsset(object, other) !== null) ?? TRUTH;
  Object.assign(viewer, { object, left: TRUTH, right: method === TRUTH ? first : method });
  byId("viewer").showModal();
  await showObject();
}

async function showObject() {
  const names = ["Ground truth", ...data.methods];
  byId("viewer-title").textContent = data.objects[viewer.object].name;
  for (const side of ["left", "right"]) {
    const select = byId(`pane-${side}`).querySelector("select");
    select.replaceChildren(...names.map((name, index) => element("option", { value: index - 1, selected: index - 1 === viewer[side],
      disabled: meshAsset(viewer.object, index - 1) === null }, name)));
  }
  const alone = data.objects.length < 2;
  byId("viewer-previous").disabled = alone;
  byId("viewer-next").disabled = alone;
  const starting = viewer.three === null;
  try {
    await loadThree();
  } catch {
    byId("pane-left").querySelector("p").textContent = "This browser cannot draw in 3D: WebGL is missing or switched off.";
    return;
  }
  if (starting) resetCamera();
  await showBodies();
  byId("canvas").focus({ preventScroll: true });
}

function stepObject(step) {
  viewer.object = (viewer.object + step + data.objects.length) % data.objects.length;
  showObject();
}

function prepareViewer() {
  choice(byId("viewer-modes"), MODES, viewer.mode, (mode) => { viewer.mode = mode; requestDraw(); });
  for (const side of ["left", "right"]) {
    byId(`pane-${side}`).querySelector("select").addEventListener("change", (event) => {
      viewer[side] = Number(event.target.value);
      showBodies();
    });
  }
  byId("viewer-reset").addEventListener("click", () => viewer.three && resetCamera());
  byId("viewer-previous").addEventListener("click", () => stepObject(-1));
  byId("viewer-next").addEventListener("click", () => stepObject(1));
  const turns = { ArrowLeft: [-0.15, 0, 1], ArrowRight: [0.15, 0, 1], ArrowUp: [0, 0.15, 1], ArrowDown: [0, -0.15, 1],
    "+": [0, 0, 1 / 1.15], "=": [0, 0, 1 / 1.15], "-": [0, 0, 1.15] };
  byId("canvas").addEventListener("keydown", (event) => {
    if (viewer.three === null || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in turns) turnCamera(...turns[event.key]);
    else if (event.key === "r" || event.key === "R" || event.key === "Home") resetCamera();
    else return;
    event.preventDefault();
  });
}
