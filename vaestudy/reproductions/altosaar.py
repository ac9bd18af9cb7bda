"""altosaar/variational-autoencoder, the row of the mean-field posterior: its ELBO and its log p(x) on test."""

from __future__ import annotations

from vaestudy.reproductions.protocol import HALF_A_NAT, IMPLEMENTATIONS, Protocol, Published, cell

LEVELS = cell(epochs=166)
MINUTES = 9.0

PROTOCOL = Protocol(
    name="altosaar",
    source="altosaar/variational-autoencoder, README",
    question="Does the VAE of altosaar/variational-autoencoder reach its published ELBO and log p(x)?",
    numbers=(
        Published(
            quantity="ELBO on test",
            metric="test/elbo",
            low=-103.31,
            high=-103.31,
            allowance=HALF_A_NAT,
            why=f"the value is of one run; {IMPLEMENTATIONS}",
            levels=LEVELS,
            minutes=MINUTES,
        ),
        Published(
            quantity="log p(x) on test by 128 importance samples",
            metric="test/iwae_128",
            low=-97.10,
            high=-97.10,
            allowance=HALF_A_NAT,
            why=f"the value is of one run; {IMPLEMENTATIONS}",
            levels=LEVELS,
            minutes=MINUTES,
        ),
    ),
    seeds=3,
    differs="the binary images are other draws from the same grey images, not Larochelle's file; 64,906 steps, not "
    "65,000; the last weights, not those that are best on valid of every 10,000 steps",
)
