"""The options of a sweep that change no result: which cells are run, by which workers, and where trials are stored.

This file imports nothing slow, as the command line makes its flags from these fields.
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
    """The options of a sweep. The docstrings of the fields are the help of the flags."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    quick: bool = False
    """Shrink the study to less than a minute: a quick look, not a result."""
    full: bool = False
    """Add the levels that take much time."""
    fresh: bool = False
    """Start the study again from the beginning. Earlier records are kept."""
    seeds: Count | None = None
    """Number of seeds."""
    workers: CountOrZero | None = None
    """Number of worker processes. Each executes one run at a time [default: the cores; 0: this process]."""
    retries: CountOrZero = 1
    """How often a crashed run is repeated."""
    scheduler: Address | None = None
    """Address of a running Dask cluster: tcp://HOST:PORT or tls://..."""
    tls_ca: File | None = None
    """File with the certificate authority of a tls:// scheduler."""
    tls_cert: File | None = None
    """File with the client's certificate for a tls:// scheduler."""
    tls_key: File | None = None
    """File with the key of the client's certificate."""
    storage: Address | None = None
    """Database of Optuna's trials, postgresql://... [default: under mlruns/]."""

    @model_validator(mode="after")
    def _compatible(self) -> SweepOptions:
        self._require_scheduler()
        if self.storage is not None and urlsplit(self.storage).scheme.split("+")[0] != "postgresql":
            # SQLite is refused: with it two drivers could run the same trial.
            raise Conflict(
                "storage", without_credentials(self.storage), "must be postgresql://... (or leave it out, for mlruns/)"
            )
        return self

    def _require_scheduler(self) -> None:
        """Raise unless the scheduler's address is well-formed and the TLS files go with it.

        Raises:
            Conflict: the address is malformed, a TLS file is given without a tls:// scheduler or does not exist, or a
                tls:// scheduler is given without all TLS files.
        """
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
    """The folder where a sweep reads its data, and the tracker where it records its runs."""

    data_root: Path
    """The folder of the data sets."""
    tracking_uri: str
    """The address of the tracker."""
