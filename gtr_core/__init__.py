"""GTR: from a few pictures of an object to a textured mesh.

Import what you need from the module that owns it; :mod:`gtr_core.pipeline` is the facade.
"""

__version__ = "0.1.0"
