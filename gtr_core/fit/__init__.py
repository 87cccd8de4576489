"""The reconstructor that needs no weights: posed pictures, with or without depth, to a field and a mesh."""
