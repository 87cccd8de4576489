// What the 3D view of a report uses of three.js. three.min.js beside this file is made of it, with nothing changed:
//   npm install three@0.187.0 esbuild@0.28.2
//   npx esbuild three_entry.js --bundle --minify --format=iife --global-name=THREE --legal-comments=inline
// Its first lines are the licence of three.js (MIT, also in LICENSES/MIT.txt).
export { BufferAttribute, BufferGeometry, ColorManagement, DirectionalLight, DoubleSide, HemisphereLight, LinearSRGBColorSpace, Mesh, MeshBasicMaterial, MeshLambertMaterial, MeshNormalMaterial, PerspectiveCamera, Scene, WebGLRenderer } from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
