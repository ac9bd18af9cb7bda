"""Tests that every architecture must pass. A new architecture in the table is tested, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaestudy.config.image_shape import DIGIT, ImageShape
from vaestudy.config.registry import ARCHITECTURES, INITS, OPTIMIZERS
from vaestudy.config.run_config import RunConfig
from vaestudy.data import datasets
from vaestudy.data.pixels import fixed
from vaestudy.model.layers import Affine, layers_of
from vaestudy.model.terms import terms
from vaestudy.model.vae import VAE
from vaestudy.run.weights import pack_weights, unpack_weights
from vaestudy.runtime.random_streams import stream
from vaestudy.scoring import bounds
from vaestudy.training.checkpoint import load_state_tensors, state_tensors
from vaestudy.training.objectives import sgvb_a
from vaestudy.training.train import train

SHAPES = [DIGIT, ImageShape(8, 8), ImageShape(32, 32, 3), ImageShape(9, 14), ImageShape(7, 5, 3), ImageShape(1, 3)]
L, M, D = 2, 3, 4


def draw(*size: int) -> Tensor:
    return torch.rand(size, generator=stream("test-architectures", *size), dtype=torch.float64)


@pytest.mark.parametrize("name", ARCHITECTURES)
class TestEveryArchitecture:
    def model(self, name: str, shape: ImageShape = DIGIT, **changes: object) -> VAE:
        fields = {"architecture": name, "latent_dim": D, "hidden": (12, 9), "second_biases": True} | changes
        return VAE(RunConfig(**fields), shape).double()

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_shapes_follow_the_images(self, name: str, shape: ImageShape) -> None:
        for likelihood in ("bernoulli", "gaussian", "categorical-256"):
            model = self.model(name, shape, likelihood=likelihood, pixels="dequantised")
            q = model.encode(draw(M, shape.pixels))
            assert q.mu.shape == q.sigma.shape == (M, D)
            head = model.decode(draw(L, M, D))
            assert head.shape == (L, M, model.likelihood.heads * shape.pixels)
            assert model.likelihood.mean(head).shape == (L, M, shape.pixels)
            assert model.decode(draw(M, D)).shape == head.shape[1:]

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_a_gradient_reaches_every_weight(self, name: str, shape: ImageShape) -> None:
        model = self.model(name, shape, activation="tanh")
        x = draw(M, shape.pixels)
        sgvb_a(terms(model, x, draw(L, M, D))).objective.sum().backward()
        without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
        assert without == []

    def test_every_weight_belongs_to_a_layer_with_outputs_first(self, name: str) -> None:
        model = self.model(name)
        layers = layers_of(model)
        of_layers = [p for layer in layers for p in (layer.weight, layer.bias, layer.second_bias)]
        assert {id(p) for p in of_layers} == {id(p) for p in model.parameters()}
        assert all(len(layer.weight) == len(layer.bias) for layer in layers)

    @pytest.mark.parametrize("init", INITS)
    def test_the_seed_alone_determines_the_weights(self, name: str, init: str) -> None:
        torch.manual_seed(0)
        one, state = self.model(name, seed=5, init=init), torch.random.get_rng_state()
        torch.manual_seed(1)
        again, other = self.model(name, seed=5, init=init), self.model(name, seed=6, init=init)
        torch.manual_seed(0)
        assert torch.equal(state, torch.random.get_rng_state())  # making a model draws nothing from the caller
        for (key, ours), theirs in zip(one.state_dict().items(), again.state_dict().values(), strict=True):
            assert torch.equal(ours, theirs), key
        assert all(not torch.equal(a.weight, b.weight) for a, b in zip(layers_of(one), layers_of(other), strict=True))

    def test_an_image_does_not_depend_on_its_minibatch(self, name: str) -> None:
        model = self.model(name)
        x, z = draw(M, 784), draw(L, M, D)
        q, head = model.train().encode(x), model.decode(z)
        for i in range(M):
            alone = model.encode(x[i : i + 1])
            torch.testing.assert_close(alone.mu[0], q.mu[i], rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(alone.sigma[0], q.sigma[i], rtol=1e-10, atol=1e-12)
            for sample in range(L):
                torch.testing.assert_close(model.decode(z[sample, i]), head[sample, i], rtol=1e-10, atol=1e-12)

    def test_a_scale_starts_where_it_is_told(self, name: str) -> None:
        """The likelihood finds the outputs of its second head, and the VAE those of the encoder's sigma."""
        told = {"likelihood": "gaussian", "pixels": "dequantised", "likelihood_sigma": 0.25, "init_sigma": 0.5}
        model = self.model(name, ImageShape(6, 5, 3), second_biases=False, **told)
        _, log_scale = model.likelihood.parts(model.decode(draw(L, M, D)))
        torch.testing.assert_close(log_scale.exp(), torch.full_like(log_scale, 0.25))
        sigma = model.encode(draw(M, 90)).sigma
        torch.testing.assert_close(sigma, torch.full_like(sigma, 0.5))

    def test_weights_and_checkpoints_come_back_to_the_bit(self, name: str) -> None:
        model = self.model(name).float()
        adam = OPTIMIZERS.load("adam")
        optimizer = adam(model, model.config, 100)
        x, z = draw(M, 784).float(), draw(L, M, D).float()
        (model.encode(x).kl().sum() + model.decode(z).sum()).backward()
        optimizer.step()
        loaded = unpack_weights(pack_weights(model))
        resumed = VAE(model.config.with_changes(seed=9))
        load_state_tensors(
            state_tensors(model, optimizer), resumed, OPTIMIZERS.load("adam")(resumed, model.config, 100)
        )
        for other in (loaded, resumed):
            assert torch.equal(other.encode(x).mu, model.encode(x).mu)
            assert torch.equal(other.decode(z), model.decode(z))

    def test_the_declared_sizes_are_those_of_the_layers(self, name: str) -> None:
        shape = ImageShape(9, 6, 3)
        model = self.model(name, shape, likelihood="gaussian", pixels="dequantised")
        sizes = ARCHITECTURES[name].load_sizes()(model.config, shape, model.likelihood.heads)
        layers = layers_of(model)
        assert sizes.weights == sum(layer.weight.numel() for layer in layers)
        assert list(sizes.affine) == [tuple(layer.weight.T.shape) for layer in layers if isinstance(layer, Affine)]
        given: dict[object, int] = {}
        for layer in layers:
            layer.register_forward_hook(lambda layer, _, output: given.update({layer: output.numel()}))
        model.decode(model.encode(draw(1, shape.pixels)).mu)
        assert sorted(sizes.encoder) == sorted(given[layer] for layer in layers_of(model.encoder))
        assert sorted(sizes.decoder) == sorted(given[layer] for layer in layers_of(model.decoder))

    def test_an_epoch_raises_the_bound(self, name: str, tiny: RunConfig) -> None:
        config = tiny.with_changes(architecture=name, epochs=1, minibatch=20, subset=1000, learning_rate=3e-3)
        data = datasets.load_splits(config, Path())
        x = fixed(config.pixels, data.valid.images, "valid")
        before = bounds.elbo_terms(VAE(config), x, 1, "valid", 1).elbo.mean().item()
        after = train(config, data).history[0]["valid/elbo"]
        assert after > before + 50
