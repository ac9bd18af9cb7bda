"""The layers with weights: `Affine`, `Convolution` and `TransposedConvolution`, and how their weights are initialised.

Each layer knows the inner products of the gradients of single images (`gradient_products`), from which the gradient
noise is measured.

Shapes: L samples, R repeats, n images, `rows` = L R n; I channels in, O channels out, k the width of a kernel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Layer(nn.Module, ABC):
    """The interface of a layer with weights."""

    weight: Tensor
    """The first dimension is that of the outputs."""
    bias: Any
    """A tensor. Torch's own layers declare that it may be None; no layer here lets it be."""
    second_bias: Tensor | None
    """A second vector that is added to `bias`, as in the article's script; None if there is none."""

    def total_bias(self) -> Tensor:
        """Return the sum of the biases."""
        total: Tensor = self.bias if self.second_bias is None else self.bias + self.second_bias
        return total

    @property
    def biases(self) -> int:
        """The number of bias vectors."""
        return 1 if self.second_bias is None else 2

    @abstractmethod
    def gradient_products(self, h: Tensor, delta: Tensor, images: int, repeats: int) -> Tensor:
        """Return the inner products of the R gradients of each image in this layer: [n, R, R], float64.

        Args:
            h: the input of the layer; its leading dimensions hold the rows, in the order L, R, n.
            delta: the gradient of the output of the layer, with the same rows.
            images: n.
            repeats: R.
        """


class Affine(nn.Linear, Layer):
    """The layer x W^T + b, optionally with a second bias, which starts at zero as in the article's script."""

    def __init__(self, width_in: int, width_out: int, second_bias: bool) -> None:
        super().__init__(width_in, width_out)
        self.second_bias = nn.Parameter(torch.zeros(width_out)) if second_bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.total_bias())

    def gradient_products(self, h: Tensor, delta: Tensor, images: int, repeats: int) -> Tensor:
        """See `Layer`. The gradient of an image is sum_l delta_l h_l^T, and sum_l delta_l for a bias.

        So a product of two is a sum of (delta . delta') (h . h' + 1), and no gradient is formed.
        """
        h, delta = (rows.reshape(-1, repeats, images, rows.shape[-1]) for rows in (h, delta))
        draws = len(h)  # L in the decoder, 1 in the encoder and its heads
        h, delta = (rows.permute(2, 1, 0, 3).flatten(1, 2) for rows in (h, delta))  # [n, R draws, width]
        products: Tensor = (delta @ delta.mT) * (h @ h.mT + self.biases)
        products = products.double().cpu().unflatten(2, (repeats, draws)).unflatten(1, (repeats, draws))
        return products.sum((2, 4))


class Convolution(nn.Conv2d, Layer):
    """A convolution that keeps the size of an image, or halves it (stride 2): [rows, I, H, W] -> [rows, O, H', W'].

    H' = H with stride 1, and H / 2 rounded up with stride 2, where an odd side gets one more row of zeros at its end
    (the padding «same» of TensorFlow). W' likewise.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, second_bias: bool) -> None:
        """Args:
        channels_in: I.
        channels_out: O.
        kernel: k: odd with stride 1; even with stride 2.
        stride: 1 or 2.
        second_bias: whether there is a second bias.
        """
        super().__init__(channels_in, channels_out, kernel, stride, (kernel - 1) // 2)
        self.second_bias = nn.Parameter(torch.zeros(channels_out)) if second_bias else None

    def forward(self, x: Tensor) -> Tensor:
        _, stride, padding = self._geometry
        return F.conv2d(self._made_even(x), self.weight, self.total_bias(), stride, padding)

    def gradient_products(self, h: Tensor, delta: Tensor, images: int, repeats: int) -> Tensor:
        """See `Layer`. The gradient of an image is formed: a kernel has few weights, an image has many places."""
        kernel, stride, padding = self._geometry
        patches = F.unfold(self._made_even(h), kernel, padding=padding, stride=stride)  # [rows, I k k, places]
        return _products_of_places(delta.flatten(2), patches, self.biases, images, repeats)

    @property
    def _geometry(self) -> tuple[int, int, int]:
        """The width of the kernel, the stride and the padding."""
        return self.kernel_size[0], self.stride[0], (self.kernel_size[0] - 1) // 2

    def _made_even(self, x: Tensor) -> Tensor:
        """Return x with one more row and column of zeros where a side is odd, if the stride is 2."""
        height, width = (side % 2 if self.stride[0] == 2 else 0 for side in x.shape[2:])
        return F.pad(x, (0, width, 0, height)) if height or width else x


class TransposedConvolution(Layer):
    """The transpose of a `Convolution` with kernel 4 and stride 2, cut to a size: [rows, I, H', W'] -> [rows, O, H, W].

    The weight is [O, I, k, k], outputs first as in every layer; `nn.ConvTranspose2d` has [I, O, k, k]. The initial
    values are those of `nn.ConvTranspose2d`.
    """

    KERNEL, STRIDE, PADDING = 4, 2, 1

    def __init__(self, channels_in: int, channels_out: int, size: tuple[int, int], second_bias: bool) -> None:
        """Args:
        channels_in: I.
        channels_out: O.
        size: H and W.
        second_bias: whether there is a second bias.
        """
        super().__init__()
        drawn = nn.ConvTranspose2d(channels_in, channels_out, self.KERNEL, self.STRIDE, self.PADDING)
        self.size = size
        self.weight = nn.Parameter(drawn.weight.detach().transpose(0, 1).contiguous())
        assert drawn.bias is not None
        self.bias = nn.Parameter(drawn.bias.detach())
        self.second_bias = nn.Parameter(torch.zeros(channels_out)) if second_bias else None

    def forward(self, h: Tensor) -> Tensor:
        whole = F.conv_transpose2d(h, self.weight.transpose(0, 1), self.total_bias(), self.STRIDE, self.PADDING)
        height, width = self.size
        return whole if whole.shape[2:] == self.size else whole[:, :, :height, :width]

    def gradient_products(self, h: Tensor, delta: Tensor, images: int, repeats: int) -> Tensor:
        """See `Layer`. A weight of a transposed convolution joins a place of h with the patch of the output there."""
        missing = (2 * side - cut for side, cut in zip(h.shape[2:], self.size, strict=True))
        height, width = missing
        patches = F.unfold(F.pad(delta, (0, width, 0, height)), self.KERNEL, padding=self.PADDING, stride=self.STRIDE)
        products = _products_of_places(h.flatten(2), patches, 0, images, repeats)
        sums = delta.flatten(2).sum(2, keepdim=True)
        ones = torch.ones_like(sums[:, :1])
        return products + self.biases * _products_of_places(sums, ones, 0, images, repeats)


def _products_of_places(a: Tensor, b: Tensor, biases: int, images: int, repeats: int) -> Tensor:
    """Return the inner products [n, R, R], float64, of the matrices sum_l a_l b_l^T, and of the vectors sum_l a_l 1.

    Args:
        a: [rows, A, places].
        b: [rows, B, places].
        biases: how often the products of the vectors are added.
        images: n.
        repeats: R.
    """
    a, b = (
        rows.unflatten(0, (-1, repeats, images)).permute(2, 1, 3, 0, 4).flatten(3) for rows in (a, b)
    )  # [n, R, A or B, draws places]
    gradients = (a @ b.mT).flatten(2).double().cpu()
    products: Tensor = gradients @ gradients.mT
    if biases:
        sums = a.sum(3).double().cpu()
        products = products + biases * (sums @ sums.mT)
    return products


def layers_of(module: nn.Module) -> list[Layer]:
    """Return the layers with weights of a module, itself included, in the order in which they were made."""
    return [layer for layer in module.modules() if isinstance(layer, Layer)]


def glorot(layer: Layer) -> None:
    """Draw the weights by Glorot & Bengio 2010 (uniform) and set the biases to zero."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)


def aevb_normal(layer: Layer) -> None:
    """Draw weights and biases from N(0, 0.01), where 0.01 is the variance (Kingma & Welling 2013, section 5)."""
    nn.init.normal_(layer.weight, std=0.1)
    nn.init.normal_(layer.bias, std=0.1)


def torch_default(layer: Layer) -> None:
    """Leave weights and biases as torch's layer of this kind has drawn them."""


def identity(h: Tensor) -> Tensor:
    """Return h: the activation of a linear VAE."""
    return h
