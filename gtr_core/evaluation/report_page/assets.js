// Pictures and meshes lie in the page as base64 text and are decoded when they are first looked at.
function assetBytes(id) {
  const text = atob(byId(`asset-${id}`).textContent);
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k += 1) bytes[k] = text.charCodeAt(k);
  return bytes;
}

const pictureUrls = new Map();
function pictureUrl(id) {
  if (!pictureUrls.has(id)) pictureUrls.set(id, URL.createObjectURL(new Blob([assetBytes(id)], { type: "image/webp" })));
  return pictureUrls.get(id);
}

async function unzipped(id) {
  const stream = new Blob([assetBytes(id)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The inverse of pack_mesh in report_meshes.py, which describes the layout.
async function unpackedMesh(id) {
  const bytes = await unzipped(id);
  const head = new DataView(bytes.buffer);
  const [vertexCount, faceCount] = [head.getUint32(0, true), head.getUint32(4, true)];
  const corner = [8, 12, 16].map((at) => head.getFloat32(at, true));
  const step = head.getFloat32(20, true);
  const positions = new Float32Array(3 * vertexCount);
  const colors = new Uint8Array(3 * vertexCount);
  const indices = new Uint32Array(3 * faceCount);
  const low = 24, high = low + 3 * vertexCount, hues = high + 3 * vertexCount, backs = hues + 3 * vertexCount;
  for (let axis = 0; axis < 3; axis += 1) {
    let place = 0, hue = 0;
    for (let k = 0; k < vertexCount; k += 1) {
      const at = axis * vertexCount + k;
      const zigzag = bytes[low + at] | (bytes[high + at] << 8);
      place += (zigzag >>> 1) ^ -(zigzag & 1);
      hue = (hue + bytes[hues + at]) & 255;
      positions[3 * k + axis] = corner[axis] + step * place;
      colors[3 * k + axis] = hue;
    }
  }
  let newest = 0;
  for (let k = 0; k < indices.length; k += 1) {
    const back = bytes[backs + k] | (bytes[backs + indices.length + k] << 8) | (bytes[backs + 2 * indices.length + k] << 16);
    indices[k] = newest - back;
    if (back === 0) newest += 1;
  }
  return { positions, colors, indices };
}
