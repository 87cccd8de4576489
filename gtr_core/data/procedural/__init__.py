"""Random objects without downloads: an exact signed distance and exact colours, endless and reproducible."""

from gtr_core.data.procedural.contact_sheet import contact_sheet
from gtr_core.data.procedural.objects import ProceduralObjects
from gtr_core.data.procedural.render import render
from gtr_core.data.procedural.scenes import Scene, Scenes
from gtr_core.data.procedural.surface_samples import SurfaceSamples, sample_surface
from gtr_core.data.procedural.tracer import Hits

__all__ = [
    "Hits",
    "ProceduralObjects",
    "Scene",
    "Scenes",
    "SurfaceSamples",
    "contact_sheet",
    "render",
    "sample_surface",
]
