"""The layers of conv against torch's own and against literal sums; the order of the head's outputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.run_config import RunConfig
from vaestudy.model.architectures.sizes import CHANNELS, RESIDUAL_CHANNELS
from vaestudy.model.layers import Convolution, TransposedConvolution
from vaestudy.model.vae import VAE
from vaestudy.runtime.random_streams import stream


def draw(*size: int) -> torch.Tensor:
    return torch.randn(size, generator=stream("test-conv", *size), dtype=torch.float64)


@pytest.mark.parametrize("size", [(8, 6), (7, 9), (1, 2)], ids=str)
def test_the_strided_convolution_has_the_literal_sums(size: tuple[int, int]) -> None:
    """y[o, a, b] = sum over i, u, v of w[o, i, u, v] x[i, 2 a + u - 1, 2 b + v - 1], where x is 0 outside the image."""
    layer, x = Convolution(2, 3, 4, 2, second_bias=True).double(), draw(1, 2, *size)
    with torch.no_grad():
        layer.second_bias.fill_(0.3)
    found = layer(x)
    assert found.shape[2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    for o in range(3):
        for a in range(found.shape[2]):
            for b in range(found.shape[3]):
                total = layer.bias[o] + 0.3
                for i in range(2):
                    for u in range(4):
                        for v in range(4):
                            y, z = 2 * a + u - 1, 2 * b + v - 1
                            if 0 <= y < size[0] and 0 <= z < size[1]:
                                total = total + layer.weight[o, i, u, v] * x[0, i, y, z]
                torch.testing.assert_close(found[0, o, a, b], total)


@pytest.mark.parametrize("size", [(8, 6), (7, 9), (1, 2)], ids=str)
def test_the_transposed_convolution_is_the_transpose(size: tuple[int, int]) -> None:
    """<conv x, h> = <x, transposed h> for the same kernel, whether the sides are even or odd."""
    down = Convolution(2, 3, 4, 2, second_bias=False).double()
    up = TransposedConvolution(3, 2, size, second_bias=False).double()
    with torch.no_grad():
        down.bias.zero_()
        up.bias.zero_()
        up.weight.copy_(down.weight.transpose(0, 1))
    x = draw(1, 2, *size)
    h = draw(*down(x).shape)
    torch.testing.assert_close((down(x) * h).sum(), (x * up(h)).sum())


def test_a_new_transposed_convolution_has_torchs_own_weights() -> None:
    torch.manual_seed(3)
    ours = TransposedConvolution(5, 2, (6, 6), second_bias=False)
    torch.manual_seed(3)
    theirs = nn.ConvTranspose2d(5, 2, 4, 2, 1)
    h = torch.randn(1, 5, 3, 3)
    torch.testing.assert_close(ours(h), theirs(h))


@pytest.mark.parametrize(("likelihood", "adjacent"), [("gaussian", False), ("categorical-256", True)])
def test_the_outputs_of_the_head_are_in_the_likelihoods_order(likelihood: str, adjacent: bool) -> None:
    shape = ImageShape(5, 4, 3)
    model = VAE(RunConfig(architecture="conv", likelihood=likelihood, pixels="dequantised", hidden=(8,)), shape)
    heads = model.likelihood.heads
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.arange(heads * 3.0))  # output j of channel c has the value 3 j + c
        out = model.decode(torch.zeros(1, 2, 10))[0, 1]
    by_head = out.view(shape.pixels, heads).T if adjacent else out.view(heads, shape.pixels)
    for j in range(heads):
        for c in range(3):
            assert by_head[j].view(3, 5, 4)[c].eq(3 * j + c).all()


def test_pixels_that_are_near_in_the_image_depend_on_near_features() -> None:
    """A place of the decoder's last map reaches a patch of 4 x 4 pixels of the 28 x 28 image, and the right one."""
    model = VAE(RunConfig(architecture="conv"))
    features = torch.zeros(2, CHANNELS // 2, 14, 14)
    features[1, :, 3, 10] = 1.0
    changed = torch.ne(*model.head(features.flatten(1))).view(28, 28).nonzero()
    assert changed.min(0).values.tolist() == [5, 19]
    assert changed.max(0).values.tolist() == [8, 22]


def test_the_layers_are_those_of_the_published_program() -> None:
    """The shapes of the kernels, in order, with fewer channels."""
    model, C, R = VAE(RunConfig(architecture="conv"), DIGIT), CHANNELS, RESIDUAL_CHANNELS
    kernels = {name: tuple(p.shape) for name, p in model.named_parameters() if p.ndim == 4}
    stack = {
        "stack.first.weight": (C, C, 3, 3),
        **{f"stack.inner.{i}.weight": (R, C, 3, 3) for i in range(2)},
        **{f"stack.outer.{i}.weight": (C, R, 1, 1) for i in range(2)},
    }
    assert kernels == {
        "encoder.down.0.weight": (C // 2, 1, 4, 4),
        "encoder.down.1.weight": (C, C // 2, 4, 4),
        **{f"encoder.{name}": shape for name, shape in stack.items()},
        **{f"decoder.{name}": shape for name, shape in stack.items()},
        "decoder.up.weight": (C // 2, C, 4, 4),
        "head.weight": (1, C // 2, 4, 4),
    }
