"""Cameras, rays and meshes as tensors: no weights, no files."""
