export { BufferAttribute, BufferGeometry, ColorManagement, DirectionalLight, DoubleSide, HemisphereLight, LinearSRGBColorSpace, Mesh, MeshBasicMaterial, MeshLambertMaterial, MeshNormalMaterial, PerspectiveCamera, Scene, WebGLRenderer } from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
