"""Tests of the command line.

Bad input gives one line and exit code 2, before anything slow is imported and before anything is written.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from vaestudy.cli.main import main
from vaestudy.config.presets import PRESETS
from vaestudy.config.registry import ARCHITECTURES, DATASETS, LIKELIHOODS, LR_SCALINGS, OBJECTIVES, SIGMAS
from vaestudy.runtime import addresses, project

ROOT = project.repository()
STUDY = [sys.executable, str(ROOT / "studies" / "latent_dims.py")]

# Command line -> texts that its one line of output must contain: the value, and the limit or the valid choices.
BAD = {
    "train --latent-dim 0": ["--latent-dim 0", "1 or more"],
    "train --latent-dim -3": ["--latent-dim -3", "1 or more"],
    "train --latent-dim ten": ["--latent-dim ten", "a whole number"],
    "train --samples 0": ["--samples 0", "1 or more"],
    "train --minibatch 0": ["--minibatch 0", "1 or more"],
    "train --minibatch 2.5": ["--minibatch 2.5", "a whole number"],
    "train --epochs 0": ["--epochs 0", "1 or more"],
    "train --epochs nan": ["--epochs nan", "a whole number"],
    "train --hidden 256 0": ["--hidden 0", "1 or more"],
    "train --hidden 256,x": ["--hidden x", "a whole number"],
    "train --iwae 0": ["--iwae 0", "1 or more"],
    "train --learning-rate -1": ["--learning-rate -1", "above 0"],
    "train --learning-rate 0": ["--learning-rate 0", "above 0"],
    "train --learning-rate nan": ["--learning-rate nan", "finite"],
    "train --learning-rate inf": ["--learning-rate inf", "finite"],
    "train --likelihood bernouli": [
        "'bernouli'",
        "did you mean 'bernoulli'",
        *LIKELIHOODS,
    ],
    "train --architecture con": ["unknown architecture 'con'", "did you mean 'conv'", *ARCHITECTURES],
    "train --architecture vgg": ["unknown architecture 'vgg'", *ARCHITECTURES],
    "train --sigma row": ["'row'", "did you mean 'raw'", *SIGMAS],
    "train --likelihood beta": ["--pixels grey", "not for beta", "infinite", "choose from: dequantised"],
    "train --likelihood gaussian --pixels stochastic": ["--pixels stochastic", "no probability", "grey, dequantised"],
    "train --likelihood categorical-256 --pixels binarised": ["--pixels binarised", "256 grey levels"],
    "train --likelihood-scale learned": ["--likelihood-scale learned", "bernoulli has no such option", "gaussian"],
    "train --likelihood-sigma 0.1": ["--likelihood-sigma 0.1", "bernoulli has no such option", "beta"],
    "train --likelihood-mean free": ["--likelihood-mean free", "those that have: gaussian\n"],
    "train --decoder-sigma raw": ["--decoder-sigma raw", "bernoulli has no such option"],
    "train --decoder-sigma row": ["'row'", "did you mean 'raw'", "softplus"],
    "train --likelihood-scale x": ["'x'", "per-pixel, learned, fixed, optimal"],
    "train --likelihood gaussian --likelihood-floor -1": ["--likelihood-floor -1", "0 or more"],
    "train --likelihood gaussian --likelihood-floor 10": ["--likelihood-floor 10", "below 10, the ceiling of gaussian"],
    "train --likelihood gaussian --likelihood-sigma 0.0001": ["--likelihood-sigma 0.0001", "above 0.001", "below 10"],
    "train --likelihood gaussian --likelihood-scale optimal --likelihood-sigma 1": ["--likelihood-sigma 1", "fitted"],
    "train --likelihood gaussian --likelihood-scale fixed --decoder-sigma raw": ["--decoder-sigma raw", "is fixed"],
    "train --likelihood truncated-gaussian --likelihood-scale optimal": ["optimal", "those that have: gaussian\n"],
    "train --sigma bounded --init-sigma 2": ["--init-sigma 2", "below 2, its ceiling"],
    "train --sigma bounded --sigma-floor 3": ["--sigma-floor 3", "below 2, the ceiling of bounded"],
    "train --sigma-floor -1": ["--sigma-floor -1", "0 or more"],
    "train --sigma-floor 0.5 --init-sigma 0.1": ["--init-sigma 0.1", "above 0.5, the scale's floor"],
    "train --estimator sgvb-c": ["'sgvb-c'", *OBJECTIVES],
    "train --estimator score-function-loo": ["--estimator score-function-loo", "--samples", "2 or more", "not 1"],
    "train --samples 10000000": ["--samples 10000000", "--minibatch 100", "GiB", "available"],
    "train --latent-dim 100000000": ["--latent-dim 100000000", "GiB", "available"],
    "train --gradient-images 5": ["--gradient-images 5", "20 or more"],
    "train --gradient-estimators stl": ["--gradient-estimators", "--gradient-images", "20 or more"],
    "train --beta -1": ["--beta -1", "0 or more"],
    "train --beta inf": ["--beta inf", "a finite number"],
    "train --kl-warmup 1.5": ["--kl-warmup 1.5", "a whole number"],
    "train --beta 2 --estimator iwae --samples 5": ["--beta 2", "--estimator", "sgvb-a", "sgvb-b", "stl", "not iwae"],
    "train --kl-warmup 2 --estimator dreg": ["--kl-warmup 2", "--estimator", "sgvb-a", "not dreg"],
    "train --free-bits 0.5 --estimator sgvb-a": ["--free-bits 0.5", "--estimator", "must be sgvb-b", "not sgvb-a"],
    "train --free-bits 0.5 --gradient-images 20": ["--free-bits 0.5", "--gradient-images"],
    "train --kl-warmup 2 --gradient-images 20": ["--kl-warmup 2", "--gradient-images"],
    "train --beta 2 --gradient-images 20 --gradient-estimators stl dreg": ["--beta 2", "sgvb-a", "not dreg"],
    "train --milestones 0": ["--milestones 0", "1 or more"],
    "train --milestones 100 --valid-size 0": ["--milestones", "--valid-size", "1 or more"],
    "train --lr-scaling sqr": ["'sqr'", "did you mean 'sqrt'", *LR_SCALINGS],
    "train --dataset mnst": ["'mnst'", "did you mean 'mnist'", "auto", *DATASETS],
    "train --preset artcle": ["'artcle'", "did you mean 'article'", *PRESETS],
    "train --latentdim 3": ["'--latentdim' (did you mean '--latent-dim'?); --help lists all\n"],
    "train --lr 3": ["'--lr' (did you mean '--learning-rate', '--lr-scaling' or '--lr-drops'?)"],
    "train --batch-size 3": ["'--batch-size' (did you mean '--minibatch' or '--valid-size'?)"],
    "train --zzz 3": ["unknown flag '--zzz'; --help lists all\n"],
    "train --latent-dim 2 3": ["--latent-dim 2 3: one value here", "--factor latent_dim=2,3`"],
    "train --latent-dim=2 3 --epochs 1": ["--latent-dim 2 3: one value here"],
    "train --learning-rate 0.1,0.2": ["--learning-rate 0.1,0.2: one value here", "--factor learning_rate=0.1,0.2`"],
    "train --learning-rate 0.1,x": ["--learning-rate 0.1,x: must be a finite number"],
    "train --hidden 64x32,16": ["--hidden 64x32 16: one value here", "--factor hidden=64x32,16`"],
    "train --dataset mnist kmnist": ["--dataset mnist kmnist: one value here\n"],
    "train --tracking-uri a b": ["--tracking-uri a b: one value here\n"],
    "train --json 5": ["unknown argument '5'"],
    "train --latent-dim": ["--latent-dim", "expected one argument"],
    "train 5": ["'5'"],
    "train --from": ["--from", "expected one argument"],
    "train --from xyz": ["'xyz'", "first digits (0 to 9, a to f)"],
    "train --from 0123": ["no run '0123'"],
    "train --from 01 --latent-dim 3": ["--latent-dim 3", "--from 01", "--any-revision, --data-dir, --tracking-uri"],
    "train --from 01 --hidden 3 4": ["--hidden 3 4", "--from 01"],
    "train --no-class-scores --from 01": ["--no-class-scores: not with --from 01"],
    "train --from 01 --preset article": ["--preset article", "--from 01"],
    "train --from 01 --threads 2": ["--threads 2", "--from 01"],
    "train --any-revision": ["--any-revision: only with --from RUN"],
    "train --dataset mnist --valid-size 60000": ["--valid-size 60000", "below 60000"],
    "train --dataset mnist-5k --valid-size 4000": ["--valid-size 4000", "below 4000"],
    "train --data-dir /no/such/folder": ["/no/such/folder", "no such directory"],
    "train --device gpu": ["'gpu'", "cpu", "cuda"],
    "train --tracking-uri file:///tmp/x": ["file:///tmp/x", "sqlite://", "http://"],
    "train --tracking-uri sqlite:////dev/null/x/mlflow.db": ["/dev/null"],
    "train --tracking-uri http://127.0.0.1:9": ["http://127.0.0.1:9", "no server answers"],
    "evaluate 0123456789abcdef": ["'0123456789abcdef'"],
    "evaluate 01 --ais --ais-chains 0": ["--ais-chains 0", "a whole number, 1 or more"],
    "evaluate 01 --ais --ais-temperatures 1": ["--ais-temperatures 1", "a whole number, 2 or more"],
    "evaluate 01 --ais --ais-temperatures 1e3": ["--ais-temperatures 1e3", "a whole number"],
    "evaluate 01 --ais --ais-images 0": ["--ais-images 0", "1 or more"],
    "evaluate 01 --ais --ais-leapfrog 0": ["--ais-leapfrog 0", "1 or more"],
    "evaluate 01 --ais --ais-simulated -1": ["--ais-simulated -1", "0 or more"],
    "evaluate 01 --ais --ais-workers 0": ["--ais-workers 0", "1 or more"],
    "evaluate 01 --ais --ais-schedule sigmod": ["'sigmod'", "did you mean 'sigmoid'", "linear"],
    "evaluate 01 --ais-chains 5": ["--ais-chains 5: only with --ais"],
    "evaluate 01 --ais-split": ["--ais-split: only with --ais"],
    "evaluate 01 --ais --ais-chain 5": ["'--ais-chain'", "did you mean '--ais-chains'"],
    "evaluate 01 --ais": ["no run '01'"],
    "evaluate": ["evaluate: needs a RUN, but nothing is tracked", "make study-latent-dims"],
    "tables latent-dim": ["'latent-dim'", "did you mean 'latent-dims'"],
    "article --claims C33": ["--claims", "'C33'", "did you mean 'C3'", "C14"],
    "article --claims ,": ["--claims", "one or more"],
    "article --dataset mnst": ["'mnst'", "did you mean 'mnist'"],
    "article --plan --publish": ["--publish: not with --plan"],
    "article --offline --quick": ["--quick: not with --offline"],
    "article --quick --until-decided": ["--until-decided: not with --quick"],
    "article --publish --claims C3": ["--claims: not with --publish"],
    "article --publish --dataset kmnist": ["--dataset kmnist", "mnist"],
    "article --most-seeds 5": ["--most-seeds 5: only with --until-decided"],
    "article --until-decided --most-seeds 0": ["--most-seeds 0", "1 or more"],
    "article --workers x": ["--workers x", "a whole number"],
    "article --out /dev/null/x": ["/dev/null is no folder"],
    f"article --out {'x' * 300}": ["cannot be used (File name too long)"],
    "article --qick": ["'--qick'", "did you mean '--quick'"],
    "article --data-dir /no/such/folder": ["/no/such/folder", "no such directory"],
    "article --tracking-uri file:///tmp/x": ["file:///tmp/x", "sqlite://"],
    "ui --port 99999": ["--port 99999", "65535"],
    "dashboard --port 0": ["--port 0", "65535"],
    "dashboard latent-dim": ["'latent-dim'", "did you mean 'latent-dims'"],
    "dashboard latent-dims": ["no trials of latent-dims", "make study-latent-dims"],
    "dashboard": ["no trials are recorded", "make study-latent-dims"],
    "dashboard --sweep mnist": ["--sweep mnist: only with STUDY"],
    "dashboard --storage sqlite:///x.db": ["--storage sqlite:///x.db", "postgresql://"],
    "dashboard --storage postgresql://h/x --tracking-uri sqlite:///x.db": ["--tracking-uri: not with --storage"],
    "dashboard --storage postgresql://me:s5word@h:99999/x": ["--storage", "65535"],
    "runs": ["nothing is tracked", "make study-latent-dims"],
    "runs --where latent_dm>5": ["'latent_dm'", "did you mean 'latent_dim'"],
    "runs --where latent_dim>x": ["latent_dim is a number", "'x'"],
    "runs --columns elbow": ["'elbow'", "did you mean 'elbo'"],
    "runs --columns ,": ["--columns", "one or more"],
    "runs --csv x.csv --json": ["--json: not with --csv"],
    "runs --csv /no/such/folder/x.csv": ["/no/such/folder is no folder"],
    "runs --csv /tmp": ["--csv /tmp", "a folder"],
    "compare": ["RUN"],
    "compare 0123": ["0123: one run", "two or more"],
    "compare 01 01": ["01: named twice"],
    "compare 01 02": ["nothing is tracked", "make study-latent-dims"],
    "compare xyz 01": ["'xyz'", "STUDY:FIELD=LEVEL"],
    "compare latent-dims: 01": ["'latent-dims:'", "STUDY:FIELD=LEVEL"],
    "compare latent-dims:latent_dim 01": ["'latent_dim' is no FIELD=LEVEL"],
    "compare latent-dims:latent_dm=3 01": ["'latent_dm'", "did you mean 'latent_dim'"],
    "compare latent-dims:latent_dim=0 01": ["latent_dim 0", "1 or more"],
    "compare 01 02 --iwae 0": ["--iwae 0", "1 or more"],
    "compare 01 02 --data-dir /no/such/folder": ["/no/such/folder", "no such directory"],
    "export": ["STUDY"],
    "export latent-dims": ["--to"],
    "export latent-dims --to /tmp/.": ["--to /tmp/.", "a folder with files in it"],
    "export latent-dims --to /dev/null": ["--to /dev/null", "there already"],
    "export latent-dims --to /no/such/folder/x": ["/no/such/folder is no folder"],
    "export latent-dims --to new.zip": ["nothing is tracked", "make study-latent-dims"],
    "trian": ["'trian'", "did you mean 'train'", "evaluate", "tables", "studies", "ui"],
}


@pytest.mark.parametrize("command", BAD)
def test_bad_input(command: str, mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for part in BAD[command]:
        assert part in err
    assert not mlruns.exists()


@pytest.mark.parametrize(
    "flags",
    [
        "--seeds 0",
        "--workers x",
        "--retries -1",
        "--scheduler nope",
        "--scheduler tls://127.0.0.1:9",
        "--tls-ca /x",
        "--storage sqlite:///x.db",
        "--latent-dim 2 0",
        "--quik",
        "--epochs 0",
        "--seed 4",
    ],
)
def test_bad_input_to_a_study(flags: str, mlruns: Path) -> None:
    done = subprocess.run([*STUDY, *flags.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("study latent-dims: ")
    assert not mlruns.exists()


def test_unknown_study_to_make() -> None:
    done = subprocess.run(["make", "study-latentdims"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown study latentdims" in done.stderr
    assert "did you mean latent-dims" in done.stderr


def test_cuda_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert main(["train", "--device", "cuda"]) == 2
    assert "--device cuda" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["train", "--help-all", "--preset", "aevb"],
        ["train", "--latent-dim", "2,3"],
        ["evaluate"],
        ["train", "--latent-dim", "0"],
        ["train", "--from", "01"],
        ["studies"],
        ["dashboard", "latent-dim"],
        ["runs", "--where", "latent_dm>5"],
        ["compare", "01", "latent-dims:latent_dm=3"],
        ["export", "latent-dims", "--to", "/dev/null"],
    ],
)
def test_answers_without_slow_imports(arguments: list[str]) -> None:
    """Check that none of the slow packages is imported.

    This replaces a limit of 0.5 s for the answer, because a measured time is noisy.
    """
    code = (
        "import sys\nfrom vaestudy.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "slow = {'torch', 'mlflow', 'optuna', 'pandas', 'matplotlib', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'imported {slow}' if slow else 0)"
    )
    # Seconds of CPU time, not of the clock; 0.2 measured. Another try is made only after a slow one.
    assert any(cpu_seconds(code) < 1.0 for _ in range(3))


def cpu_seconds(code: str) -> float:
    """Return the CPU time of a Python process, in seconds; its exit code must be 0."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_train_and_evaluate_end_to_end(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import vaestudy

    command = (
        "train --dataset mnist-5k --subset 200 --epochs 2 --hidden 32,16 --latent-dim 2 --iwae 1 5 --minibatch 500"
    )
    assert main([*command.split(), "--json"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out.splitlines()[-1])
    for key in ("run_id", "test/elbo", "test/kl", "test/log_likelihood", "test/iwae_5", "seconds_per_epoch"):
        assert key in record
    assert record["test/elbo"] == pytest.approx(record["test/log_likelihood"] - record["test/kl"])
    assert "one step an epoch" in err

    run_id = record["run_id"]
    model = vaestudy.load(run_id)
    assert model.config.hidden == (32, 16)
    again_loaded = vaestudy.load(run_id[:8])  # as `vaestudy evaluate` takes it
    assert again_loaded.config == model.config
    weights = next(mlruns.glob(f"artifacts/*/{run_id}/artifacts/weights.safetensors"))
    before = weights.read_bytes()

    assert main(["evaluate", run_id[:10], "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["added"] == again["differs_from_record"] == []
    assert {k: again[k] for k in again if k.startswith("test/")}.items() <= record.items()

    assert main(["evaluate", run_id, "--iwae", "7", "--json"]) == 0
    more = json.loads(capsys.readouterr().out)
    assert more["added"] == ["test/ess_7", "test/iwae_7", "test/iwae_7_se"]
    assert weights.read_bytes() == before

    annealing = f"evaluate {run_id} --ais --ais-temperatures 4 --ais-chains 2 --ais-images 6 --ais-simulated 3 --json"
    assert main([*annealing.split(), "--ais-split"]) == 0
    bounded = json.loads(capsys.readouterr().out)
    assert bounded["differs_from_record"] == []
    names = (
        "ais",
        "ess_ais",
        "acceptance_ais",
        "looseness_elbo",
        "looseness_iwae_1",
        "looseness_iwae_5",
        "ess_iwae_1",
        "ess_iwae_5",
    )
    names = tuple(f"test/{name}_4x2x6" for name in (*names, "approximation_gap", "amortisation_gap"))
    names += ("test/bdmc_gap_4x2x3",)
    assert set(bounded["added"]) == {*names, *(f"{name}_se" for name in names)}
    assert main([*annealing.split(), "--ais-workers", "1"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["added"] == again["differs_from_record"] == []

    from vaestudy.tracking.mlflow_tracker import Tracker

    row = Tracker(addresses.tracking_uri(None)).get(run_id)
    assert row["metrics.test/iwae_7"] == more["test/iwae_7"]
    assert row["metrics.test/elbo"] == record["test/elbo"]
    assert row["status"] == "FINISHED"
    for fact in ("code.revision", "code.state", "data.fingerprint", "version.torch", "hardware.cpu", "threads"):
        assert row[f"tags.{fact}"]


@pytest.mark.parametrize(
    ("run", "parts"),
    [
        ("0123", ["no run '0123' is tracked", "`vaestudy runs`"]),
        ("latent-dims", ["run 'latent-dims'", "first digits (0 to 9, a to f)"]),
        ("/no/such.safetensors", ["/no/such.safetensors", "No such file"]),
    ],
)
def test_a_model_that_is_not_there(run: str, parts: list[str], mlruns: Path) -> None:
    import vaestudy

    with pytest.raises(vaestudy.BadInput) as caught:
        vaestudy.load(run)
    for part in parts:
        assert part in str(caught.value)
    assert not mlruns.exists()


def test_evaluate_without_a_run_lists_the_latest(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was evaluated, so the exit code is that of an argument that is missing."""
    assert main(["runs", "--json"]) == 0
    ids = [str(run["id"])[:8] for run in json.loads(capsys.readouterr().out)["runs"] if run["status"] == "FINISHED"]
    assert main(["evaluate"]) == 2
    out, err = capsys.readouterr()
    rows = [line.split()[0] for line in out.splitlines() if line.split() and line.split()[0] in ids]
    assert rows == ids[-10:]
    assert err.count("\n") == 1
    assert f"`vaestudy evaluate {ids[-1]}`" in err
    assert main(["evaluate", "--iwae", "0"]) == 2
    assert capsys.readouterr() == ("", "vaestudy: --iwae 0: must be one or more, each a whole number, 1 or more, "
                                   "2,147,483,647 or less\n")  # fmt: skip


def test_a_diverged_run_is_tracked_as_failed(mlruns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "train --dataset mnist-5k --subset 200 --epochs 2 --learning-rate 1e6"
    assert main(command.split()) == 1
    assert "diverged: the loss is" in capsys.readouterr().err
    from vaestudy.tracking.mlflow_tracker import Tracker

    tracker = Tracker(addresses.tracking_uri(None))
    (row,) = tracker.runs(tracker.experiments()["train"]).to_dict("records")
    assert row["status"] == "FAILED"
    assert "the loss is" in row["tags.failure"]
