"""The list of the published protocols. Nothing slow is imported here."""

from __future__ import annotations

from vaestudy.reproductions import aevb, altosaar, iwae, linear_vae, pythae, pytorch_examples
from vaestudy.reproductions.protocol import Protocol

MODULES = (linear_vae, pytorch_examples, altosaar, pythae, aevb, iwae)
PROTOCOLS: dict[str, Protocol] = {module.PROTOCOL.name: module.PROTOCOL for module in MODULES}
"""The name of a protocol -> the protocol, those of full length first."""
