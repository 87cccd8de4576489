"""Planes to density and colour, and from there to surfaces and images."""
