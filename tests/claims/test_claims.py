"""The article's claims: each computes a verdict from what it needs, and answers known cases as its words ask."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from tests.support.evidence import Values, diverged, evidence, rows, runs_of
from vaestudy.claims import c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, c12, c13, c14
from vaestudy.claims.claim import Claim, Verdict
from vaestudy.claims.family import judge_family, where_it_matters
from vaestudy.claims.measures import SeedsAbove
from vaestudy.claims.part import PartVerdict
from vaestudy.claims.registry import CLAIMS
from vaestudy.config.registry import STUDY_FIGURES
from vaestudy.evidence.needs import Need, declared_study, needs_by_sweep
from vaestudy.study.metrics import is_metric


def near(value: float, n: int = 10, spread: float = 0.01) -> list[float]:
    """Return values of n seeds around a value."""
    return [value + spread * math.sin(3 * seed + value) for seed in range(n)]


def judged(claim: Claim, given: dict[Need, Values]) -> Verdict:
    return claim.judge(evidence(*runs_of(claim, given)))


def answers(found: Verdict) -> list[str]:
    """The answers of the parts that count."""
    return [part.decision.answer for part in found.parts if part.part.role != "exploratory"]


def test_the_claims_are_those_of_the_article() -> None:
    assert list(CLAIMS) == [f"C{i}" for i in range(1, 15)]


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_every_claim_computes_a_verdict(claim: Claim) -> None:
    found = judged(claim, {})
    assert found.verdict in ("holds", "fails", "depends", "undecided")
    assert 0 <= found.p <= 1
    assert [part.decision.reason for part in found.parts] == [""] * len(found.parts)
    assert all(part.run_ids and part.sentence for part in found.parts)
    for text in (found.summary, *(part.whole_sentence for part in found.parts)):
        assert not re.search(r"[{}]|nan|\binf\b", text)
    assert found.summary.count("(asked: ") <= 1
    assert judged(claim, {}).summary == found.summary
    nothing = claim.judge(evidence())
    assert (nothing.verdict, nothing.p) == ("undecided", 1)
    assert [part.estimate for part in nothing.parts] == [None] * len(claim.parts)
    assert "nan" not in nothing.summary


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_every_claim_rests_on_declared_cells_and_metrics(claim: Claim) -> None:
    assert all(work.cells for work in needs_by_sweep(claim.needs, "mnist"))
    assert [name for name in claim.metrics if not name.endswith("/") and not is_metric(name)] == []
    assert min(one.seeds for one in claim.needs) >= 3
    study, figure = claim.figure
    assert figure in declared_study(study).figures
    assert figure in STUDY_FIGURES


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_every_claim_is_worded(claim: Claim) -> None:
    names = [part.name for part in claim.parts]
    assert len(set(names)) == len(names)
    assert any(part.role != "exploratory" for part in claim.parts)
    for part in claim.parts:
        assert re.fullmatch(r"[^{}]*({value}|{\w+\|\w+})[^{}]*", part.says)
        assert part.question.endswith("?")
        assert part.criterion.why.endswith(".")
        assert part.criterion.unit


def by_dimension(*terms: float) -> dict[Need, Values]:
    return {
        arm: {"test/log_likelihood": near(term), "test/elbo": near(-100)}
        for arm, term in zip(c14.ARMS.values(), terms, strict=True)
    }


def test_c14_asks_each_step_for_a_gain() -> None:
    assert judged(c14.CLAIM, by_dimension(-150, -135, -116, -93, -82, -81.5)).verdict == "holds"
    assert judged(c14.CLAIM, by_dimension(-150, -135, -116, -93, -82, -82.5)).verdict == "depends"
    assert judged(c14.CLAIM, by_dimension(-82, -93, -116, -135, -150, -160)).verdict == "fails"
    unclear = by_dimension(-150, -135, -116, -93, -82, -81.9)
    unclear[c14.ARMS[50]] = {"test/log_likelihood": near(-81.9, spread=1.0)}
    found = judged(c14.CLAIM, unclear)
    assert (found.verdict, [part.part.name for part in found.deciding]) == ("undecided", ["from D=20 to 50"])


def test_c14_asks_whether_the_bound_gains_and_whether_it_stays() -> None:
    """The question of a gain is not answered by «the same», and the reverse."""
    names = ("the bound from D=10 to 20", "the bound from D=20 to 50")
    given = by_dimension(-150, -135, -116, -93, -82, -81.5)
    given[c14.ARMS[20]] |= {"test/elbo": near(-98)}  # type: ignore[operator]
    found = {part.part.name: part.decision.answer for part in judged(c14.CLAIM, given).parts}
    assert [found[name] for name in names] == ["holds", "fails"]
    same = by_dimension(-150, -135, -116, -93, -82, -81.5)
    found = {part.part.name: part.decision.answer for part in judged(c14.CLAIM, same).parts}
    assert [found[name] for name in names] == ["fails", "holds"]


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_every_criterion_can_be_met(claim: Claim) -> None:
    """No criterion asks a share for more than 100 %, and no margin is empty."""
    for part in claim.parts:
        limits = [
            getattr(part.criterion, name) for name in ("threshold", "low", "high") if hasattr(part.criterion, name)
        ]
        assert limits
        assert limits == sorted(set(limits))
        assert part.criterion.unit != "%" or 0 < limits[0] < 1


def along(*bounds: float, seconds: float = 100.0) -> Values:
    """Return bounds at 100 and 1,000 images, the second after so many seconds."""
    values = {f"along/{images}/elbo": near(bound) for images, bound in zip((100, 1000), bounds, strict=True)}
    return values | {f"along/{images}/seconds": [seconds * images / 1000] * 10 for images in (100, 1000)}


def test_c03_compares_at_equal_images_passes_and_seconds() -> None:
    """Two draws reach the same after the same images, at twice the passes and the seconds; 20 gain 0.2 nats."""
    one = {"test/elbo": near(-111.7)} | along(-200, -111.7)
    two = {"test/elbo": near(-111.7)} | along(-200, -111.7, seconds=200)
    five = along(-200, -111.7, seconds=500)
    twenty = {"test/elbo": near(-111.5)} | along(-200, -111.7, seconds=900)
    given = {c03.ONE: one, c03.MORE[2]: two, c03.MORE[5]: five, c03.MORE[20]: twenty}
    found = judged(c03.CLAIM, given)
    assert (found.verdict, answers(found)) == ("holds", ["holds"] * 5)
    values = [part.estimate.value for part in found.parts[:3] if part.estimate]
    # At half the images the bound is that of the interpolation in the logarithm of the cost.
    half = -200 + 88.3 * math.log(5) / math.log(10) + 111.7
    assert values == [pytest.approx(v, abs=0.02) for v in (0.2, half, half)]
    better = twenty | {"test/elbo": near(-110.0)}
    assert judged(c03.CLAIM, given | {c03.MORE[20]: better}).verdict == "depends"
    # Five draws that take no longer and gain a nat count, too, though two do not gain.
    faster = {"test/elbo": near(-111.7)} | along(-200, -110.7)
    assert judged(c03.CLAIM, given | {c03.MORE[5]: faster}).verdict == "depends"


def test_c03_measures_the_best_cell_with_seeds_that_did_not_choose_it() -> None:
    """The seeds 0 to 2 say 5 nats, those from 3 on say 2."""
    best = [-106.7] * 3 + near(-109.7, 5)
    found = judged(c03.CLAIM, {c03.ONE: {"test/elbo": near(-111.7)}, c03.BEST_OF_33: {"test/elbo": best}}).parts[-1]
    assert found.estimate is not None
    assert (found.estimate.value, found.estimate.n) == (pytest.approx(2.0, abs=0.02), 5)
    assert len(found.run_ids) == 5 + 7  # seeds 3 to 7, and 3 to 9
    few = evidence(rows(c03.ONE, {"test/elbo": near(-111.7)}), rows(c03.BEST_OF_33, {"test/elbo": [-106.7] * 3}))
    absent = c03.CLAIM.judge(few).parts[-1]
    assert absent.estimate is None
    assert absent.decision.reason.endswith("with a seed from 3 on")


def test_more_seeds_of_a_chosen_cell_come_after_those_that_chose_it() -> None:
    close = {c03.ONE: {"test/elbo": near(-111.7, spread=1.0)}, c03.BEST_OF_33: {"test/elbo": near(-111.0, 8, 1.0)}}
    found = judged(c03.CLAIM, close).parts[-1]
    assert found.estimate is not None
    assert found.decision.more_seeds
    wanted = found.estimate.n + found.decision.more_seeds + c03.CHOSE
    assert {arm.seeds for arm in found.wanted} == {max(wanted, 8), max(wanted, 10)}


def test_c04_fails_with_the_trade_at_equal_steps_and_rows() -> None:
    """As it was measured: at equal epochs draws gain 5 nats, at equal steps they lose 5."""
    given = {
        c04.IMAGES: {"test/elbo": near(-114.1, 5)} | along(-200, -114),
        c04.DRAWS: {"test/elbo": near(-109.0, 5)} | along(-180, -109, seconds=500),
        c04.DRAWS_ONE_EPOCH: {"test/elbo": near(-119.1, 5)},
    }
    found = judged(c04.CLAIM, given)
    assert found.verdict == "fails"
    assert answers(found)[:2] == ["fails", "holds"]
    assert found.summary.startswith("after 2,750 steps of 200 rows, M=20 with ten draws ends 5.00 nats lower (")
    same = given | {c04.DRAWS_ONE_EPOCH: {"test/elbo": near(-114.1, 5)}}
    assert judged(c04.CLAIM, same).verdict == "depends"


def noise(estimator: str, *stages: float, group: str = "encoder", spread: float = 0.01) -> dict[str, list[float]]:
    return {f"gradient/{stage}/{estimator}/{group}/var_eps": near(value, spread=spread)
            for stage, value in zip(c02.STAGES, stages, strict=True)}  # fmt: skip


def test_c02_depends_on_the_stage() -> None:
    at_b = noise("sgvb-a", 3.0, 1.12, 1.06) | noise("sgvb-b", 1, 1, 1)
    at_b |= noise("sgvb-a", 1, 1, 0.6, group="value") | noise("sgvb-b", 1, 1, 1, group="value")
    found = judged(c02.CLAIM, {c02.B: at_b | {"test/elbo": near(-115.2)}, c02.A: {"test/elbo": near(-115.3)}})
    assert found.verdict == "depends"
    assert answers(found) == ["holds", "fails", "fails", "fails", "fails", "fails", "fails"]
    assert found.parts[7].decision.answer == "holds"  # the two bounds are equivalent


def test_c01_is_far_more_noise_and_a_lower_bound() -> None:
    at_b = noise("score-function", 2e5, 5e4, 2e4) | noise("sgvb-b", 1, 1, 1)
    given = {c01.B: at_b | {"test/elbo": near(-115)}, c01.PLAIN: {"test/elbo": near(-290, spread=30)}}
    assert judged(c01.CLAIM, given).verdict == "holds"
    assert "in 100 % (95 %: 69 to 100) of the seeds" in seeds_above(given).sentence
    small = at_b | noise("score-function", 50, 50, 50) | {"test/elbo": near(-115)}
    assert judged(c01.CLAIM, given | {c01.B: small}).verdict == "depends"


def seeds_above(given: dict[Need, Values]) -> PartVerdict:
    """The part of C1 on single seeds."""
    return next(part for part in judged(c01.CLAIM, given).parts if isinstance(part.part.measure, SeedsAbove))


def test_c01_in_single_seeds() -> None:
    """One seed that is far off leaves the mean undecided, and the share of seeds is exact: 0.025^(1/10), p = 2^-10."""
    far = [-117.0] * 9 + [-7000.0]
    given = {c01.B: {"test/elbo": near(-115)}, c01.PLAIN: {"test/elbo": far}}
    found = seeds_above(given)
    assert found.estimate is not None
    assert found.part.role == "exploratory"
    assert all("after the data was seen" in text for text in (found.part.name, found.part.question, found.sentence))
    assert (found.estimate.value, found.estimate.n, found.estimate.lost) == (1, 10, 0)
    assert (found.estimate.low, found.estimate.high) == (pytest.approx(0.025**0.1), 1)
    assert found.decision.p_holds == pytest.approx(2**-10)
    bound = next(part for part in judged(c01.CLAIM, given).parts if part.part.name == "for the bound that is reached")
    assert bound.decision.answer == "undecided"
    less = {c01.B: {"test/elbo": [-115.0] * 10}, c01.PLAIN: {"test/elbo": [-115.5, *far[1:]]}}
    assert seeds_above(less).estimate.value == 0.9  # type: ignore[union-attr]  # half a nat is not more than half a nat


def test_c01_in_single_seeds_without_those_that_diverged() -> None:
    ends = {"test/elbo": [-115.0] * 10}
    found = c01.CLAIM.judge(evidence(rows(c01.B, ends), rows(c01.PLAIN, {"test/elbo": [-120.0] * 9}),
                                     diverged(c01.PLAIN, [9])))  # fmt: skip
    estimate = next(part.estimate for part in found.parts if isinstance(part.part.measure, SeedsAbove))
    assert estimate is not None
    assert (estimate.value, estimate.n, estimate.lost) == (1, 9, 1)


def test_c05_counts_what_diverged_and_what_learned_nothing() -> None:
    raw, log = (c05.ARMS[scale, 1e-6] for scale in ("raw", "log-variance"))
    first = "train/first_likelihood_over_kl"
    fine = {first: near(28.5), "test/mse": [0.04] * 10, "train/elbo": near(-1)}
    wrecked = rows(raw, {first: near(2e5, 1), "test/mse": [82.0], "train/elbo": [-5.0]})
    found = c05.CLAIM.judge(evidence(rows(log, fine), wrecked, diverged(raw, range(1, 10), {first: 2.1e5})))
    ratio, failing = found.parts[:2]
    assert found.verdict == "depends"
    assert answers(found) == ["fails", "holds", "fails", "fails"]
    assert ratio.estimate is not None
    assert (ratio.estimate.n, ratio.estimate.lost) == (10, 0)  # all have a first step
    assert ratio.estimate.value == pytest.approx(2.09e5, rel=0.01)
    assert failing.estimate is not None
    assert (failing.estimate.value, failing.estimate.n) == (1, 10)
    assert "0 % (95 %: 0 to 31) of the runs fail" in found.parts[3].sentence


def test_c05_counts_copies_of_runs_once() -> None:
    """Floors of 10^-6 and 10^-4 that are never reached give the same three runs."""
    elbos = [near(-float(i), 3) for i in (1, 1, 2, 3, 4)]
    parts = [rows(c05.ARMS["log-variance", floor], {"train/elbo": values, "test/mse": [0.04] * 3})
             for floor, values in zip(c05.FLOORS, elbos, strict=True)]  # fmt: skip
    found = next(p for p in c05.CLAIM.judge(evidence(*parts)).parts if p.part.name == "all floors with a log-variance")
    assert found.estimate is not None
    assert (found.estimate.n, found.estimate.value) == (12, 0)
    assert found.estimate.high == pytest.approx(0.2646, abs=1e-4)


def test_c06_needs_too_much_at_a_border() -> None:
    def border(black: float, white: float) -> Values:
        shares = {"mass_at_0": black, "mass_at_0_data": 0.807, "mass_near_1": white, "mass_near_1_data": 0.076}
        return {f"test/{name}": near(value, 3, 0.0005) for name, value in shares.items()}

    arms = {part.measure.needs[0] for part in c06.CLAIM.parts}
    assert judged(c06.CLAIM, {arm: border(0.80, 0.04) for arm in arms}).verdict == "fails"
    assert judged(c06.CLAIM, {arm: border(0.80, 0.12) for arm in arms}).verdict == "depends"
    assert judged(c06.CLAIM, {arm: border(0.87, 0.12) for arm in arms}).verdict == "holds"


def test_c06_compares_odds() -> None:
    """Four of five pixels are black. No share is a quarter more than that, but odds can be."""
    assert c06.odds_ratio(0.9, 0.8) == pytest.approx(9 / 4)
    assert c06.odds_ratio(0.8, 0.8) == pytest.approx(1)
    assert c06.odds_ratio(0.04, 0.05) == pytest.approx((0.04 / 0.96) / (0.05 / 0.95))
    assert c06.odds_ratio(1.0, 0.8) == math.inf


def test_c07_depends_on_the_measure() -> None:
    bernoulli = {"test/bits_per_dim": near(5.72, 3), "test/mean_matched_bits_per_dim": near(2.5, 3),
                 "test/histogram_distance": near(0.186, 3, 1e-4)}  # fmt: skip
    beta = {"test/bits_per_dim": near(2.06, 3), "test/histogram_distance": near(0.222, 3, 1e-4)}
    found = judged(c07.CLAIM, {c07.BERNOULLI: bernoulli, c07.BETA: beta})
    assert (found.verdict, answers(found)) == ("depends", ["holds", "holds", "fails"])
    closer = beta | {"test/histogram_distance": near(0.08, 3, 1e-4)}
    assert judged(c07.CLAIM, {c07.BERNOULLI: bernoulli, c07.BETA: closer}).verdict == "holds"


def test_c08_asks_for_speed_no_failures_and_seeds_that_agree() -> None:
    given: dict[Need, Values] = {c08.BERNOULLI: {"seconds_per_epoch": near(1.7, 3)}}
    given |= {arm: {"seconds_per_epoch": near(2.5, 3)} for arm in c08.OTHERS.values()}
    given[c14.ARMS[10]] = {"test/elbo": near(-111, spread=0.2)}
    assert judged(c08.CLAIM, given).verdict == "holds"
    faster = given | {c08.OTHERS["a Beta"]: {"seconds_per_epoch": near(0.9, 3)}}
    assert judged(c08.CLAIM, faster).verdict == "depends"


def test_c09_is_an_equivalence() -> None:
    same = {arm: {"test/elbo": near(-111.7)} for arm in c09.CLAIM.needs}
    assert judged(c09.CLAIM, same).verdict == "holds"
    raw = next(
        arm for arm in c09.CLAIM.needs if dict(arm.levels) == {"sigma": "raw", "latent_dim": 2, "log_guard": 1e-8}
    )
    assert judged(c09.CLAIM, same | {raw: {"test/elbo": near(-115)}}).verdict == "depends"
    assert judged(c09.CLAIM, same | {raw: {"test/elbo": near(-111.7, spread=3)}}).verdict == "undecided"


def test_c10_needs_blur_and_overlays() -> None:
    values = {"greyness_prior": 0.16, "greyness_reconstruction": 0.15, "greyness_data": 0.07}
    values |= {"class_entropy_prior": 0.5, "class_entropy_reconstruction": 0.1}
    values |= {"two_classes_prior": 0.3, "two_classes_reconstruction": 0.1}
    given = {f"test/{name}": near(value, spread=1e-3) for name, value in values.items()}
    assert judged(c10.CLAIM, {c10.ARM: given}).verdict == "holds"
    unclear = given | {"test/two_classes_prior": near(0.1, spread=1e-3)}
    assert judged(c10.CLAIM, {c10.ARM: unclear}).verdict == "depends"


def class_terms(costs: dict[int, float]) -> Values:
    floor = c11.floors("a8acd31e76297908b893bd92b6416a590649c9cabb7ab4fb829e9638a300eba4", "null")
    return {f"test/class_{c}/{term}": near(-floor[c] - costs[c]) for c in range(10) for term in c11.TERMS}


def test_c11_is_about_the_excess() -> None:
    """The classes of the claim are the best by their excess, though 0 has the largest cost of all by its floor."""
    costs = dict.fromkeys(c11.BEST, 20.0) | dict.fromkeys((2, 3, 6, 8), 40.0) | dict.fromkeys(c11.POOR, 50.0)
    found = judged(c11.CLAIM, {c11.ARM: class_terms(costs)})
    assert (found.verdict, answers(found)) == ("holds", ["holds"] * 4)
    assert found.parts[0].estimate is not None
    assert found.parts[0].estimate.value == pytest.approx(20, abs=0.05)
    assert found.parts[2].estimate is not None
    assert found.parts[2].estimate.value == pytest.approx(10, abs=0.05)
    raw = {part.part.name: part.estimate.value for part in found.parts if part.estimate}
    floor = c11.floors("a8acd31e76297908b893bd92b6416a590649c9cabb7ab4fb829e9638a300eba4", "null")
    expected = min(floor[c] + costs[c] for c in range(10) if c not in c11.BEST) - (20 + floor[0])
    assert raw["for the best classes, by the bound itself"] == pytest.approx(expected, abs=0.05)
    assert judged(c11.CLAIM, {c11.ARM: class_terms(costs | {7: 60.0})}).verdict == "depends"


def test_c12_asks_each_class_and_the_pair() -> None:
    purity = dict.fromkeys(range(10), 0.5) | {0: 0.9, 1: 0.95, 7: 0.6}
    given = {f"test/class_{c}/neighbour_purity": near(value, spread=1e-3) for c, value in purity.items()}
    given |= {f"test/class_{a}/neighbours_{b}": near(0.3 if {a, b} == {4, 9} else 0.1, spread=1e-3)
              for a in range(10) for b in range(10) if a != b}  # fmt: skip
    assert judged(c12.CLAIM, {c12.ARM: given}).verdict == "holds"
    seven = given | {"test/class_7/neighbour_purity": near(0.4, spread=1e-3)}
    assert answers(judged(c12.CLAIM, {c12.ARM: seven})) == ["holds", "holds", "fails", "holds"]
    pair = given | {f"test/class_{a}/neighbours_{b}": near(0.4, spread=1e-3) for a, b in ((3, 5), (5, 3))}
    found = judged(c12.CLAIM, {c12.ARM: pair}).parts[-1]
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(-0.1, abs=3e-3)


def layouts(move: object) -> Values:
    """Ten runs with one layout, each moved by `move` of its seed, and a little noise."""
    rng = np.random.default_rng(1)
    layout = rng.normal(size=(10, 2))
    points = np.stack([(layout + 0.05 * rng.normal(size=(10, 2))) @ move(seed) for seed in range(10)])  # type: ignore[operator]
    return {f"test/class_{c}/mu_{d}": points[:, c, d - 1].tolist() for c in range(10) for d in (1, 2)}


def rotation(seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[math.cos(seed), math.sin(seed)], [-math.sin(seed), math.cos(seed)]])


def flip(seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.diag([(-1.0) ** seed, 1.0]) @ np.eye(2)[[seed // 2 % 2, 1 - seed // 2 % 2]]


def test_c13_allows_flips_and_swaps_and_no_rotation() -> None:
    found = judged(c13.CLAIM, {c13.ARM: layouts(flip)})
    assert (found.verdict, answers(found)) == ("holds", ["holds", "holds"])
    turned = judged(c13.CLAIM, {c13.ARM: layouts(rotation)})
    assert turned.verdict == "fails"
    assert [part.decision.answer for part in turned.parts][:2] == ["fails", "holds"]
    assert turned.summary.startswith("up to flips and swaps of the axes, ")
    few = {name: series[:3] for name, series in layouts(flip).items()}
    assert c13.CLAIM.judge(evidence(rows(c13.ARM, few))).parts[0].would_decide == "3 seeds show no spread"
    for part in found.parts[:2]:
        assert part.estimate is not None
        assert 0 < part.estimate.low < part.estimate.value < part.estimate.high < 1


def test_the_family_corrects_what_was_just_so() -> None:
    """C3 is just decided: alone it holds, among fourteen claims it does not. What is clear stays."""
    just = near(-111.7, spread=0.05)
    given = {c03.ONE: {"test/elbo": just} | along(-200, -111.7)}
    given |= {c03.MORE[L]: along(-200, -111.7, seconds=200) for L in (2, 5)}
    clear = c14.CLAIM, by_dimension(-150, -135, -116, -93, -82, -81.5)
    gains = [value + 0.5 - gap for value, gap in zip(just, np.linspace(-0.1, 0.4, 10), strict=True)]
    runs = runs_of(
        c03.CLAIM, given | {c03.MORE[20]: {"test/elbo": gains} | along(-200, -111.7, seconds=200)}
    ) + runs_of(*clear)
    alone = c03.CLAIM.judge(evidence(*runs))
    assert alone.verdict == "holds"
    assert 0.025 / 14 < alone.p <= 0.025
    family = judge_family(CLAIMS.values(), evidence(*runs))
    found = {each.alone.claim.id: each for each in family}
    assert (found["C3"].alone.verdict, found["C3"].corrected, found["C3"].differs) == ("holds", "undecided", True)
    assert (found["C14"].corrected, found["C14"].differs) == ("holds", False)
    assert where_it_matters(family) == "Under Holm's correction for all claims, C3 would be undecided."
    assert where_it_matters([found["C14"]]) == "Holm's correction for all claims changes no verdict."
