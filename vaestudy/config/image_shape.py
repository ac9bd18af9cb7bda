"""The shape of an image. Nothing slow is imported here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageShape:
    """Height H, width W and channels C. A stored image is a row of P = C H W values: channel by channel, row by row."""

    height: int
    width: int
    channels: int = 1

    @property
    def pixels(self) -> int:
        """Return P, the number of values of an image; a colour image has three for each place."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.height} x {self.width}" + (f" x {self.channels}" if self.channels > 1 else "")


DIGIT = ImageShape(28, 28)
"""The shape of MNIST's images."""
