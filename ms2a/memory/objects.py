"""What the annotated objects of a domain look like to the detector, and the background: the last vectors of each."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ms2a.memory.controls import RANDOM, STORED, check_control, in_place_of


class ObjectMemory(nn.Module):
    """Two rings of vectors, of objects and of background, that are overwritten as the detector learns.

    A new vector agrees with objects as far as it is closer to its nearest objects than to its nearest background, by
    the cosine of what is left when the mean of all that is stored is taken away.

    Args:
        channels: C of the neck's maps.
        levels: how many maps; a vector has D = levels · C numbers.
        size: K of each ring.
        nearest: vectors of a ring that are asked; their mean counts.
        prototypes: ``"stored"``, or as a control ``"random"``: noise of the mean and variance that the stored vectors
            of both rings have in each channel.

    Raises:
        UserError: ``prototypes`` is none of its names.
    """

    def __init__(
        self, channels: int, levels: int = 3, size: int = 256, nearest: int = 5, prototypes: str = STORED
    ) -> None:
        super().__init__()
        self.control = check_control(prototypes, "object_memory.prototypes", (STORED, RANDOM))
        self.nearest = nearest
        # Moving averages leave out what is called so.
        self.register_buffer("prototypes", torch.zeros(2, size, levels * channels))
        self.register_buffer("seen", torch.zeros(2, dtype=torch.long))

    @property
    def filled(self) -> list[int]:
        """How many objects and how many background vectors are stored."""
        return [min(int(count), self.prototypes.shape[1]) for count in self.seen]

    @torch.no_grad()
    def store(self, objects: Tensor, background: Tensor) -> None:
        """Adds vectors, in the place of the oldest.

        Args:
            objects: (N, D).
            background: (M, D).
        """
        size = self.prototypes.shape[1]
        for ring, vectors in enumerate((objects, background)):
            vectors = vectors[-size:]
            places = (self.seen[ring] + torch.arange(len(vectors), device=vectors.device)) % size
            self.prototypes[ring, places] = vectors.to(self.prototypes)
            self.seen[ring] += len(vectors)

    @torch.no_grad()
    def agreement(self, vectors: Tensor) -> Tensor:
        """How much closer vectors are to objects than to background, from -2 to 2; -2 where a ring is empty.

        Args:
            vectors: (N, D).

        Returns:
            (N,), above 0 where they look like objects.
        """
        filled = self.filled
        if not all(filled):
            return vectors.new_full((len(vectors),), -2.0)
        rings = [ring[:count] for ring, count in zip(self.prototypes, filled, strict=True)]
        stored = torch.cat(rings)
        mean = stored.mean(0)
        directions = F.normalize(in_place_of(stored, self.control, dim=(0,)) - mean, dim=1).split(filled)
        asked = F.normalize(vectors.to(stored) - mean, dim=1)
        objects, background = (
            (asked @ ring.T).topk(min(self.nearest, len(ring)), dim=1).values.mean(1) for ring in directions
        )
        return objects - background
