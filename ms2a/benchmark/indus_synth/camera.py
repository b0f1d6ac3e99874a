"""A pinhole camera above a conveyor.

World: X along the belt to the right, Y across it away from the camera, Z up, the belt at Z = 0; one unit is about a
millimetre. Pixels: x to the right and y down, in the enlarged picture that the renderer works on.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """Where the camera is and what it sees.

    Attributes:
        centre: (3,) position, world units.
        axes: (3, 3), rows: the unit vectors right, up and forward.
        focal: focal length, pixels.
        size_hw: height and width of the picture, pixels.
    """

    centre: np.ndarray
    axes: np.ndarray
    focal: float
    size_hw: tuple[int, int]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) of world points (N, 3)."""
        seen = (points - self.centre) @ self.axes.T
        scale = self.focal / np.maximum(seen[:, 2:], 1.0)
        height, width = self.size_hw
        return (width / 2, height / 2) + seen[:, :2] * scale * (1.0, -1.0)

    def rays(self) -> np.ndarray:
        """Unit vectors (3, H, W), float32, from the camera through every pixel."""
        height, width = self.size_hw
        x = (np.arange(width, dtype=np.float32) + np.float32(0.5 - width / 2))[None, :]
        y = (np.float32(height / 2 - 0.5) - np.arange(height, dtype=np.float32))[:, None]
        right, up, forward = self.axes.astype(np.float32)
        rays = [right[i] * x + (up[i] * y + forward[i] * np.float32(self.focal)) for i in range(3)]
        length = np.sqrt(rays[0] * rays[0] + rays[1] * rays[1] + rays[2] * rays[2])
        return np.stack([ray / length for ray in rays])

    def belt_points(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World X and Y, both (H, W) float32, of the belt plane's points seen along ``rays``."""
        distance = np.float32(self.centre[2]) / np.maximum(-rays[2], np.float32(0.05))
        return np.float32(self.centre[0]) + rays[0] * distance, np.float32(self.centre[1]) + rays[1] * distance


def look_at(
    target_xy: tuple[float, float], view_width: float, tilt: float, yaw: float, size_hw: tuple[int, int]
) -> Camera:
    """A camera that looks down at a point of the belt.

    Args:
        target_xy: point of the belt in the middle of the picture, world units.
        view_width: how much of the belt the picture's middle row shows, world units.
        tilt: angle of the line of sight below the horizon, radians; pi / 2 looks straight down.
        yaw: rotation about the vertical, radians; 0 has the belt run horizontally.
        size_hw: height and width of the picture, pixels.
    """
    distance = 1.6 * view_width
    c, s = math.cos(yaw), math.sin(yaw)
    ahead = (-s, c)
    right = np.array([c, s, 0.0])
    up = np.array([ahead[0] * math.sin(tilt), ahead[1] * math.sin(tilt), math.cos(tilt)])
    forward = np.array([ahead[0] * math.cos(tilt), ahead[1] * math.cos(tilt), -math.sin(tilt)])
    centre = np.array([target_xy[0], target_xy[1], 0.0]) - distance * forward
    return Camera(centre, np.stack([right, up, forward]), size_hw[1] * distance / view_width, size_hw)
