"""The local model server: an HTTP skin around :mod:`gtr_core.pipeline`."""
