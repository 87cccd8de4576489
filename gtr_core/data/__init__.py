"""Where views of known objects come from: textured meshes and ground-truth renderings of them."""
