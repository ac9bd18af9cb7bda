"""The options of a sweep that change no result: which cells are run, by which workers, and where trials are stored.

This file imports nothing slow, as the command line makes its flags from these fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vaestudy.config.compatibility import Conflict
from vaestudy.config.fields import Count, CountOrZero, Rate
from vaestudy.runtime.addresses import BadAddress, scheduler_address, storage_address

MOST_RUNS = 20_000
"""The largest number of runs of a study that is run without `yes`."""

TLS_FILES = ("tls_ca", "tls_cert", "tls_key")


def _checked(field: str, check: Callable[[str], str]) -> AfterValidator:
    """Return a validator that brings an address into its normal form; a bad one is a `Conflict` of `field`."""

    def validate(address: str) -> str:
        try:
            return check(address)
        except BadAddress as error:
            raise Conflict(field, error.shown, error.why.replace("{", "{{").replace("}", "}}")) from None

    return AfterValidator(validate)


def _absolute(file: str) -> str:
    """Return the absolute path of a file, as another process may have another current directory."""
    return str(Path(file).absolute())


Uri = Annotated[str, Field(json_schema_extra={"metavar": "URI"})]
File = Annotated[str, Field(json_schema_extra={"metavar": "FILE"}), AfterValidator(_absolute)]
Width = Annotated[Rate, Field(json_schema_extra={"metavar": "WIDTH"})]


class SweepOptions(BaseModel):
    """The options of a sweep. The docstrings of the fields are the help of the flags."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    quick: bool = False
    """Shrink the study to less than a minute: a quick look, not a result."""
    plan: bool = False
    """Show what would be run, what of it is done, and the minutes and memory that the rest takes. Run and write
    nothing."""
    full: bool = False
    """Add the levels that take much time."""
    fresh: bool = False
    """Start the study again from the beginning. Earlier records are kept."""
    seeds: Count | None = None
    """Number of seeds."""
    seeds_until: Width | None = None
    """Add seeds until the 95 % interval of each difference of the table's first metric has at most this half-width, in
    the metric's unit (nats for a bound)."""
    most_seeds: Count = 30
    """The largest number of seeds with --seeds-until."""
    yes: bool = False
    """Run the study even if it has more than 20,000 runs."""
    workers: CountOrZero | None = None
    """Number of worker processes. Each executes one run at a time [default: the cores; 0: this process]."""
    timeout: Rate | None = None
    """Begin no further trial of a search after this many minutes. The same command goes on with the search."""
    retries: CountOrZero = 1
    """How often a crashed run is repeated."""
    scheduler: Annotated[Uri, _checked("scheduler", scheduler_address)] | None = None
    """Address of a running Dask cluster: tcp://HOST:PORT or tls://..."""
    tls_ca: File | None = None
    """File with the certificate authority of a tls:// scheduler."""
    tls_cert: File | None = None
    """File with the client's certificate for a tls:// scheduler."""
    tls_key: File | None = None
    """File with the key of the client's certificate."""
    storage: Annotated[Uri, _checked("storage", storage_address)] | None = None
    """Database of Optuna's trials, postgresql://... [default: under mlruns/]."""

    @model_validator(mode="after")
    def _tls_files_go_with_the_scheduler(self) -> SweepOptions:
        """Raise unless the TLS files go with the scheduler's address.

        Raises:
            Conflict: a TLS file is given without a tls:// scheduler or does not exist, or a tls:// scheduler is given
                without all TLS files.
        """
        address = self.scheduler
        given = {name: str(getattr(self, name)) for name in TLS_FILES if getattr(self, name) is not None}
        for name, file in given.items():
            if address is None or not address.startswith("tls://"):
                raise Conflict(name, file, "goes with {scheduler} tls://HOST:PORT")
            if not Path(file).is_file():
                raise Conflict(name, file, "no such file")
        missing = [f"{{{name}}}" for name in TLS_FILES if name not in given]
        if address is not None and address.startswith("tls://") and missing:
            raise Conflict("scheduler", address, f"wants {' and '.join(missing)} too")
        return self

    @model_validator(mode="after")
    def _most_seeds_goes_with_a_width(self) -> SweepOptions:
        """Raise unless `most_seeds` is given together with `seeds_until` only.

        Raises:
            Conflict: it is given alone.
        """
        if "most_seeds" in self.model_fields_set and self.seeds_until is None:
            raise Conflict("most_seeds", self.most_seeds, "goes with {seeds_until} WIDTH")
        return self


@dataclass(frozen=True)
class Locations:
    """The folder where a sweep reads its data, and the tracker where it records its runs."""

    data_root: Path
    """The folder of the data sets."""
    tracking_uri: str
    """The address of the tracker."""
