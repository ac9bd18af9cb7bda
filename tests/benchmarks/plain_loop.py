"""The article's VAE as a tutorial would write it: the loop that `make bench` compares with. Prints seconds per epoch.

    python -m tests.benchmarks.plain_loop --dataset mnist --root DIR [--epochs 1]

Run it from the repository's root. A line has the seconds of an epoch and its mean loss per image, in nats.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets, transforms


class Plain(nn.Module):
    """The VAE of the article: one hidden layer of 256 units, a log-variance head and a Bernoulli decoder."""

    def __init__(self, latent_dim: int = 10) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 256), nn.ReLU())
        self.mu = nn.Linear(256, latent_dim)
        self.log_var = nn.Linear(256, latent_dim)
        self.decoder = nn.Sequential(nn.Linear(latent_dim, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.encoder(x)
        mu, log_var = self.mu(h), self.log_var(h)
        z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        return self.decoder(z), mu, log_var


class Digits(Dataset):
    """The 4,000 train images of mnist-5k. Images are decoded one by one, as in torchvision's MNIST."""

    def __init__(self, root: Path) -> None:
        from vaestudy.config.registry import DATASETS

        train, _ = DATASETS.load("mnist-5k").read(root)
        self.data, self.targets = train.images.view(-1, 28, 28), train.labels
        self.transform = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.data[index].numpy(), mode=None)
        return self.transform(image), int(self.targets[index])


def run_epoch(model: Plain, loader: DataLoader, optimizer: torch.optim.Optimizer) -> float:
    """Train for one epoch and return the mean loss per image, in nats."""
    model.train()
    total = 0.0
    for x, _ in loader:
        x = x.view(-1, 784)
        optimizer.zero_grad()
        y, mu, log_var = model(x)
        reconstruction = F.binary_cross_entropy(y, x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())
        loss = reconstruction + kl
        loss.backward()
        total += loss.item()
        optimizer.step()
    return total / len(loader.dataset)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", choices=["mnist", "mnist-5k"], required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.dataset == "mnist":
        images: Dataset = datasets.MNIST(arguments.root, train=True, transform=transforms.ToTensor())
    else:
        images = Digits(arguments.root)
    loader = DataLoader(images, batch_size=100, shuffle=True)
    model = Plain()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(arguments.epochs):
        started = time.perf_counter()
        loss = run_epoch(model, loader, optimizer)
        print(f"{time.perf_counter() - started:.4f} {loss:.3f}", flush=True)


if __name__ == "__main__":
    main()
