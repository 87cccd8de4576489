"""Files: pictures with cameras in, meshes out."""
