"""``indus_synth``, the embedded benchmark: rendered conveyors of three factories, one class, three domains.

*S* is bright and evenly lit, with narrow slats; *T1* dark and dull, with wide slats and lamps mirrored in them that
look like parts; *T2* lit and exposed from black to blown out, with many long plates.
"""

from ms2a.benchmark.indus_synth.scenes import IMAGE_HW, Scene, render_scene
from ms2a.benchmark.indus_synth.writer import CLASSES, VERSION, Sizes, make_benchmark

__all__ = ["CLASSES", "IMAGE_HW", "VERSION", "Scene", "Sizes", "make_benchmark", "render_scene"]
