"""pythae (clementchadebec/benchmark_VAE), the VAE of its reproduced results: the NLL by 200 importance samples.

The value that pythae reproduces is that of Rezende & Mohamed 2015, 89.9.
"""

from __future__ import annotations

from vaestudy.reproductions.protocol import HALF_A_NAT, IMPLEMENTATIONS, Protocol, Published, cell

PROTOCOL = Protocol(
    name="pythae",
    source="clementchadebec/benchmark_VAE, table of reproduced results",
    question="Does the VAE of pythae reach its published negative log-likelihood?",
    numbers=(
        Published(
            quantity="NLL on test by 200 importance samples (the paper that pythae reproduces: 89.9)",
            metric="test/iwae_200",
            loss=True,
            low=89.78,
            high=89.78,
            allowance=HALF_A_NAT,
            why=f"the value is of one trained model; {IMPLEMENTATIONS}",
            levels=cell(epochs=500),
            minutes=19.0,
        ),
    ),
    seeds=3,
    differs="the binary images are other draws from the same grey images, not Larochelle's file; the last weights, "
    "not those of the epoch that is best on valid",
)
