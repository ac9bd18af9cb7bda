"""The checks of a pixel protocol. Shapes: M images, P pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from vaestudy.conformance.check import Checks, DoesNotApply, Part, require
from vaestudy.conformance.randomness import require_own_generator
from vaestudy.runtime.random_streams import stream

CHECKS = Checks()


def bytes_of_all_values() -> Tensor:
    """Return 40 images of all 256 byte values, uint8 [40, 256]."""
    return torch.arange(256, dtype=torch.uint8).repeat(40, 1)


def stored(part: Part) -> Tensor:
    """Return images as the protocol finds them in memory: what `draw_once` makes of them, if it has that."""
    draw = part.spec.load_draw_once()
    return bytes_of_all_values() if draw is None else draw(bytes_of_all_values(), "test")


@CHECKS.first
def shape_and_type(part: Part) -> None:
    """It makes float32 [M, P] of stored bytes uint8 [M, P]."""
    for images in (stored(part), stored(part)[:1], stored(part)[:, :3]):
        x = part.load()(images, stream("check", "pixels"))
        require(x.shape == images.shape, f"images {list(images.shape)} become x {list(x.shape)}")
        require(x.dtype == torch.float32, f"x is {x.dtype}")


@CHECKS
def in_the_unit_interval(part: Part) -> None:
    """x is finite and lies in [0, 1]."""
    x = part.load()(stored(part), stream("check", "pixels"))
    require(x.isfinite().all(), "an x is not finite")
    require(0 <= x.min() <= x.max() <= 1, f"x is {x.min().item():.6g} to {x.max().item():.6g}")


@CHECKS
def own_generator(part: Part) -> None:
    """The same generator gives the same x, and no other random numbers are used."""
    require_own_generator(lambda: part.load()(stored(part), stream("check", "pixels")), "it")


@CHECKS
def leaves_the_images(part: Part) -> None:
    """It leaves the stored images as they are."""
    images = stored(part)
    kept = images.clone()
    part.load()(images, stream("check", "pixels"))
    require(torch.equal(images, kept), "it changes the stored images in place")


@CHECKS
def depends_on_the_image(part: Part) -> None:
    """Different images give different x."""
    images = stored(part)
    black, white = (part.load()(torch.full_like(images, v), stream("check", "pixels")) for v in (0, 255))
    require(not torch.equal(black, white), "black and white images give the same x")


@CHECKS
def drawn_once(part: Part) -> None:
    """`draw_once` makes bytes 0 and 255 that depend on the images and on the name of the split alone."""
    draw = part.spec.load_draw_once()
    if draw is None:
        raise DoesNotApply("it has no draw_once")
    images = bytes_of_all_values()
    drawn = draw(images, "train")
    require(drawn.dtype == torch.uint8 and drawn.shape == images.shape, f"it makes {drawn.dtype} {list(drawn.shape)}")
    values = drawn.unique().tolist()
    require(set(values) <= {0, 255}, f"it makes the values {values[:5]}")
    require_own_generator(lambda: draw(images, "train").float(), "draw_once")
    few = draw(images[:7], "train")
    require(torch.equal(few, drawn[:7]), "the first images are drawn in another way if there are fewer in all")
    require(not torch.equal(draw(images, "test"), drawn), "the splits train and test have the same draws")
