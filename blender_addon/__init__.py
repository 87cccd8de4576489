"""GTR for Blender: from a few views of an object to a textured mesh."""

bl_info = {
    "name": "GTR",
    "description": "From a few views of an object to a textured mesh",
    "author": "GTR for Blender contributors",
    "version": (0, 1, 0),
    "blender": (3, 4, 0),
    "location": "3D View > Sidebar > GTR",
    "category": "Mesh",
}


def register() -> None:
    """Register everything; works without numpy and requests, the panel then says what is missing."""
    from . import life, operators, panels, preferences, properties

    for part in (properties, preferences, operators, panels, life):
        part.register()


def unregister() -> None:
    """Take everything back, in the reverse order."""
    from . import life, operators, panels, preferences, properties

    for part in (life, panels, operators, preferences, properties):
        part.unregister()
