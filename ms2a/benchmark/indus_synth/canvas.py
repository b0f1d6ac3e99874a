"""What is where in a scene: one value per pixel for colour, direction, gloss, shadow and the part that is seen.

Parts are painted one over the other, each after its shadow has been cast on what lies below; light is added afterwards
(`light.py`) to the whole picture at once.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ms2a.benchmark.indus_synth.camera import Camera
from ms2a.benchmark.indus_synth.noise import TEXTURE_HW, textures
from ms2a.benchmark.indus_synth.parts import Facet, Part

_SUBPIXEL_BITS = 4
_NOTHING = -1

Rings = list[np.ndarray]
Stencil = tuple[tuple[slice, slice], np.ndarray]


@dataclass(frozen=True)
class Material:
    """How a sheet looks.

    Attributes:
        colour: (3,) BGR reflectance of the scattered light, 0 to 1.
        gloss: (3,) BGR reflectance of the mirrored light, 0 to 1.
        rough: how blurred its mirror image is; 0.02 is polished, 0.6 is dull.
        brushed: strength of the streaks of brushing.
        stained: strength of stains.
        patched: strength of galvanised crystals.
        wavy: how uneven the sheet is, as slope.
    """

    colour: np.ndarray
    gloss: np.ndarray
    rough: float
    brushed: float
    stained: float
    patched: float
    wavy: float


def _shadow(rings: Rings, light: np.ndarray, ground: float) -> Rings:
    """The rings (N, 3) of a facet's shadow on the plane at height ``ground``."""
    slope = light / max(light[2], 0.2)
    return [points - (points[:, 2:] - ground) * slope for points in rings]


def _box_blur(mask: np.ndarray, sigma: float) -> np.ndarray:
    """About a Gaussian blur, at a cost that does not grow with ``sigma``."""
    # Two boxes of width w have a variance of (w^2 - 1) / 6.
    width = 2 * round((math.sqrt(6 * sigma * sigma + 1) - 1) / 2) + 1
    return cv2.blur(cv2.blur(mask, (width, width)), (width, width))


class Canvas:
    """The fields of a scene, each (..., H, W) float32 unless said.

    Attributes:
        camera: the camera that sees it.
        colour: (3, H, W) BGR reflectance of scattered light.
        gloss: (3, H, W) BGR reflectance of mirrored light.
        rough: (H, W) blur of the mirror image.
        normal: (3, H, W) unit vector across the surface.
        lit: (H, W) share of the main lamp's light that arrives, 0 to 1.
        open: (H, W) share of the surrounding light that arrives, 0 to 1.
        part: (H, W) int16, index of the part seen, -1 where there is none.
        areas: for every part how many pixels it would cover alone.
    """

    def __init__(self, camera: Camera) -> None:
        height, width = camera.size_hw
        self.camera = camera
        self.colour = np.zeros((3, height, width), np.float32)
        self.gloss = np.zeros((3, height, width), np.float32)
        self.rough = np.full((height, width), 0.5, np.float32)
        self.normal = np.zeros((3, height, width), np.float32)
        self.normal[2] = 1
        self.lit = np.ones((height, width), np.float32)
        self.open = np.ones((height, width), np.float32)
        self.part = np.full((height, width), _NOTHING, np.int16)
        self.areas: list[int] = []

    def add(
        self, part: Part, material: Material, thickness: float, light: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Paints a part and its shadow over everything painted so far.

        Args:
            part: its facets, in world units.
            material: how it looks.
            thickness: of the sheet, world units.
            light: (3,) unit vector towards the main lamp.
            rng: places the textures.
        """
        index = len(self.areas)
        outlines = [facet.points() for facet in part]
        heights = np.concatenate([rings[0][:, 2] for rings in outlines])
        ground, tall = float(heights.min()), float(np.ptp(heights))
        self._shade_below(outlines, light, ground, tall)
        reach = [float(np.sum((rings[0].mean(axis=0) - self.camera.centre) ** 2)) for rings in outlines]
        for i in sorted(range(len(part)), key=lambda i: -reach[i]):
            if tall > thickness:
                self._shade_own(outlines[i], index, light, ground)
            self._paint(part[i], outlines[i], index, material, thickness, rng)
        self.areas.append(int(np.count_nonzero(self.part == index)))

    def _fill(self, polygons: list[Rings], margin: int) -> Stencil | None:
        """The mask of polygons with holes and the window it belongs to, or None outside the picture.

        Args:
            polygons: rings (N, 3) in world units of every polygon.
            margin: how many pixels the window reaches beyond them.
        """
        ends = np.cumsum([len(ring) for rings in polygons for ring in rings])
        corners = self.camera.project(np.concatenate([ring for rings in polygons for ring in rings]))
        height, width = self.camera.size_hw
        left, top = (max(math.floor(v) - margin, 0) for v in corners.min(axis=0))
        right, bottom = (math.ceil(v) + 1 + margin for v in corners.max(axis=0))
        right, bottom = min(right, width), min(bottom, height)
        if right <= left or bottom <= top:
            return None
        mask = np.zeros((bottom - top, right - left), np.uint8)
        fixed = np.round((corners - (left + 0.5, top + 0.5)) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        flat = iter(np.split(fixed, ends[:-1]))
        for rings in polygons:
            cv2.fillPoly(mask, [next(flat) for _ in rings], 255, shift=_SUBPIXEL_BITS)
        return (slice(top, bottom), slice(left, right)), mask

    def _shade_below(self, outlines: list[Rings], light: np.ndarray, ground: float, tall: float) -> None:
        """Casts a part's shadow, and the gloom close around it, on what is painted so far."""
        pixel = self.camera.focal / float(np.abs(self.camera.centre[2] / self.camera.axes[2][2]))
        blur = 0.8 + 0.1 * tall * pixel
        cast = self._fill([_shadow(rings, light, ground - 3.0) for rings in outlines], margin=int(3 * blur) + 2)
        if cast:
            window, mask = cast
            self.lit[window] *= 1 - _box_blur(mask, blur).astype(np.float32) * np.float32(0.95 / 255)
        wide = 5.0 + 0.35 * tall * pixel
        gloom = self._fill([_shadow(rings, np.array([0, 0, 1.0]), ground) for rings in outlines], int(3 * wide) + 2)
        if gloom:
            window, mask = gloom
            self.open[window] *= 1 - _box_blur(mask, wide).astype(np.float32) * np.float32(0.75 / 255)

    def _shade_own(self, rings: Rings, index: int, light: np.ndarray, ground: float) -> None:
        """Casts a facet's shadow on the facets of the same part that are painted already."""
        cast = self._fill([_shadow(rings, light, ground)], margin=4)
        if cast is None:
            return
        window, mask = cast
        shade = _box_blur(mask, 1.2).astype(np.float32) * np.float32(1 / 255)
        shade *= self.part[window] == index
        self.lit[window] *= 1 - np.float32(0.85) * shade
        self.open[window] *= 1 - np.float32(0.35) * shade

    def _paint(self, facet: Facet, rings: Rings, index: int, material: Material, thickness: float, rng) -> None:
        normal = facet.normal
        if float(normal @ (self.camera.centre - rings[0].mean(axis=0))) < 0:
            normal = -normal
        rim = self._fill([[ring - thickness * normal for ring in rings]], margin=0)
        if rim:
            self._write(rim, index, material, self._rim_normal(normal), 0.75)
        top = self._fill([rings], margin=0)
        if top:
            self._write(top, index, material, normal, 1.0, facet, rng)

    def _rim_normal(self, normal: np.ndarray) -> np.ndarray:
        """Where the cut edge that shows below a sheet looks: towards the camera, in the sheet's plane."""
        towards = -self.camera.axes[2] - normal * float(-self.camera.axes[2] @ normal)
        return towards / max(math.sqrt(float(towards @ towards)), 1e-6)

    def _write(
        self,
        stencil: Stencil,
        index: int,
        material: Material,
        normal: np.ndarray,
        open_share: float,
        facet: Facet | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        """Overwrites all fields under a stencil; with the texture of a facet if one is given."""
        window, mask = stencil
        inside = mask > 127
        tone, tilt, across = np.float32(1), np.float32(0), np.zeros(3)
        if facet:
            tone, tilt = self._texture(facet, rng, window, material)
            across = facet.v
        for channel in range(3):
            np.copyto(self.colour[channel][window], tone * np.float32(material.colour[channel]), where=inside)
            np.copyto(self.gloss[channel][window], tone * np.float32(material.gloss[channel]), where=inside)
            bent = np.float32(normal[channel]) + tilt * np.float32(across[channel])
            np.copyto(self.normal[channel][window], bent, where=inside)
        np.copyto(self.rough[window], np.float32(material.rough), where=inside)
        np.copyto(self.lit[window], np.float32(1), where=inside)
        np.copyto(self.open[window], np.float32(open_share), where=inside)
        np.copyto(self.part[window], np.int16(index), where=inside)

    def _texture(
        self, facet: Facet, rng: np.random.Generator, window: tuple[slice, slice], material: Material
    ) -> tuple[np.ndarray, np.ndarray]:
        """Brightness and sideways tilt, (h, w) or scalar, of a facet's surface inside a window."""
        base = self.camera.project(np.stack([facet.origin, facet.origin + 10 * facet.u, facet.origin + 10 * facet.v]))
        du, dv = (base[1] - base[0]) / 10, (base[2] - base[0]) / 10
        determinant = du[0] * dv[1] - du[1] * dv[0]
        if abs(determinant) < 1e-3:
            return np.float32(1), np.float32(0)
        inverse = np.array([[dv[1], -dv[0]], [-du[1], du[0]]]) / determinant
        offset = rng.uniform(0.1, 0.5, 2) * TEXTURE_HW[::-1]
        fields = textures()
        size_wh = (window[1].stop - window[1].start, window[0].stop - window[0].start)

        def read(field: np.ndarray, scale: float) -> np.ndarray:
            matrix = np.round(np.column_stack([inverse * scale, offset]), 6)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            return cv2.warpAffine(field, matrix, size_wh, flags=flags, borderMode=cv2.BORDER_REFLECT)

        streaks = read(fields.brushed, 0.9)
        tone = 1 + np.float32(material.brushed) * streaks
        tone += np.float32(material.stained) * read(fields.stains, 1.1)
        if material.patched:
            tone += np.float32(material.patched) * read(fields.patches, 1.0)
        # No sheet is quite flat: slow waves bend the mirror image, the streaks of brushing smear it sideways.
        waves = read(fields.stains, 0.12) * np.float32(material.wavy)
        return np.maximum(tone, np.float32(0.1)), streaks * np.float32(0.25 * material.brushed) + waves
