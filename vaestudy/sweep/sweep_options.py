"""The options of a sweep that change no result: how much is run, by which workers, and where trials are kept.

Nothing slow is imported here: the command line makes its flags of these fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vaestudy.config.compatibility import Conflict
from vaestudy.config.fields import Count, CountOrZero
from vaestudy.runtime.paths import without_credentials

TLS_FILES = ("tls_ca", "tls_cert", "tls_key")

Address = Annotated[str, Field(json_schema_extra={"metavar": "URI"})]
File = Annotated[str, Field(json_schema_extra={"metavar": "FILE"})]


class SweepOptions(BaseModel):
    """How a study's cells are run."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    quick: bool = False
    """Shrink to under a minute: a look, not a result."""
    full: bool = False
    """Add the costly levels."""
    fresh: bool = False
    """Start anew; what is recorded is kept."""
    seeds: Count | None = None
    """Number of seeds."""
    workers: CountOrZero | None = None
    """Number of worker processes, one run each [default: the cores; 0: this process]."""
    retries: CountOrZero = 1
    """How often a crashed run is tried again."""
    scheduler: Address | None = None
    """Address of a Dask cluster that runs already: tcp://HOST:PORT or tls://..."""
    tls_ca: File | None = None
    """Certificate authority of a tls:// scheduler."""
    tls_cert: File | None = None
    """Our certificate for a tls:// scheduler."""
    tls_key: File | None = None
    """The key of that certificate."""
    storage: Address | None = None
    """Keep Optuna's trials in postgresql://... [default: under mlruns/]."""

    @model_validator(mode="after")
    def _compatible(self) -> SweepOptions:
        self._require_scheduler()
        if self.storage is not None and urlsplit(self.storage).scheme.split("+")[0] != "postgresql":
            # SQLite is refused, as it lets two drivers run one trial.
            raise Conflict(
                "storage", without_credentials(self.storage), "must be postgresql://... (or leave it out, for mlruns/)"
            )
        return self

    def _require_scheduler(self) -> None:
        """Refuse what cannot be a scheduler's address, and TLS files that are missing or have no use."""
        address = self.scheduler
        if address is not None and not re.fullmatch(r"(tcp|tls)://[^/]+:\d+", address):
            raise Conflict("scheduler", address, "must be tcp://HOST:PORT or tls://HOST:PORT")
        given = {name: str(getattr(self, name)) for name in TLS_FILES if getattr(self, name) is not None}
        for name, file in given.items():
            if address is None or not address.startswith("tls://"):
                raise Conflict(name, file, "goes with {scheduler} tls://HOST:PORT")
            if not Path(file).is_file():
                raise Conflict(name, file, "no such file")
        missing = [f"{{{name}}}" for name in TLS_FILES if name not in given]
        if address is not None and address.startswith("tls://") and missing:
            raise Conflict("scheduler", address, f"wants {' and '.join(missing)} too")


@dataclass(frozen=True)
class Locations:
    """Where a sweep reads its data and records its runs."""

    data_root: Path
    """The folder of the data sets."""
    tracking_uri: str
    """The address of MLflow's store."""
