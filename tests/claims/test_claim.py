"""The verdict of a claim against synthetic runs whose answer is known."""

from __future__ import annotations

import pytest

from tests.support.evidence import diverged, evidence, rows
from vaestudy.claims.claim import Claim, Verdict
from vaestudy.claims.criterion import Below, Exceeds, Within
from vaestudy.claims.measures import Contrast, Mean, Share, Spread, metric
from vaestudy.claims.part import Part
from vaestudy.evidence.needs import need
from vaestudy.reporting.runs_frame import Incomparable

ELBO = metric("test/elbo")
D2, D10, D20 = (need("latent-dims", 3, latent_dim=D) for D in (2, 10, 20))


def part(name: str, one: object, other: object, role: str = "part", low: float = 0.5) -> Part:
    return Part(name, f"{name}?", "the score is {higher|lower}", Contrast(one, other, ELBO),  # type: ignore[arg-type]
                Exceeds("nats", "As an example.", low), role)  # type: ignore[arg-type]  # fmt: skip


def claim(*parts: Part) -> Claim:
    return Claim("C0", "More is better.", "Is more better?", parts, ("latent-dims", "bound_and_parts"))


TWO_STEPS = claim(part("from 2 to 10", D10, D2), part("from 10 to 20", D20, D10))


def judged(claim: Claim, two: list[float], ten: list[float], twenty: list[float], looks: int = 1) -> Verdict:
    runs = [rows(arm, {"test/elbo": v}) for arm, v in ((D2, two), (D10, ten), (D20, twenty))]
    return claim.judge(evidence(*runs), looks)


BAD, GOOD, BEST = [-150.0, -151.0, -149.0], [-110.0, -111.0, -110.5], [-100.0, -101.0, -100.5]


def test_every_part_holds() -> None:
    found = judged(TWO_STEPS, BAD, GOOD, BEST)
    assert found.verdict == "holds"
    assert found.p == max(p.decision.p_holds for p in found.parts)
    assert found.summary == (
        "all 2 parts hold; the least clear: the score is 10.0 nats higher (8.9 to 11.1) "
        "(asked: more than 0.5 nats higher)"
    )
    assert (found.deciding, found.wanted) == ((), ())


def test_every_part_fails() -> None:
    found = judged(TWO_STEPS, BEST, GOOD, BAD)
    assert found.verdict == "fails"
    assert found.p == max(p.decision.p_fails for p in found.parts)
    assert found.summary.startswith("all 2 parts fail; the clearest: the score is ")


def test_parts_with_different_answers() -> None:
    found = judged(TWO_STEPS, BAD, BEST, GOOD)
    assert found.verdict == "depends"
    assert found.p == 2 * max(found.parts[0].decision.p_holds, found.parts[1].decision.p_fails)
    assert found.summary == (
        "yes in 1 of 2 parts: the score is 49.5 nats higher (47.4 to 51.6); "
        "no in 1: the score is 10.0 nats lower (8.9 to 11.1) (asked: more than 0.5 nats higher)"
    )


def test_one_undecided_part_leaves_the_claim_undecided() -> None:
    found = judged(TWO_STEPS, BAD, GOOD, [-109.0, -110.9, -108.5])
    assert found.verdict == "undecided"
    (open_part,) = found.deciding
    assert open_part.part.name == "from 10 to 20"
    more = open_part.decision.more_seeds
    assert more is not None
    assert more > 0
    assert {arm.seeds for arm in found.wanted} == {3 + more}
    assert open_part.whole_sentence.endswith(
        f" (asked: more than 0.5 nats higher); about {more} more seeds would decide it"
    )
    assert found.summary.endswith("; the other part holds")


def test_one_seed_decides_nothing() -> None:
    found = judged(TWO_STEPS, BAD[:1], GOOD[:1], BEST[:1])
    assert (found.verdict, found.p) == ("undecided", 1.0)
    assert found.wanted == ()
    assert found.parts[0].whole_sentence.endswith("; one seed shows no spread")


def test_without_runs() -> None:
    found = TWO_STEPS.judge(evidence(rows(D10, {"test/elbo": GOOD})))
    assert (found.verdict, found.p) == ("undecided", 1.0)
    assert [p.estimate for p in found.parts] == [None, None]
    assert found.parts[0].whole_sentence == "not measured: there is no run of latent-dims (latent_dim=2)"
    assert found.parts[0].run_ids  # those of the arm that is there


def test_a_metric_that_was_not_recorded() -> None:
    one = claim(Part("kl", "?", "{value}", Mean(D2, metric("test/kl")), Exceeds("nats", "", 0.0)))
    found = one.judge(evidence(rows(D2, {"test/elbo": BAD})))
    assert found.parts[0].decision.reason == "no run of latent-dims (latent_dim=2) has test/kl"


def test_a_decisive_part_decides_against_the_others() -> None:
    two = claim(part("from 2 to 10", D10, D2), part("from 10 to 20", D20, D10, role="decisive"))
    found = judged(two, BAD, BEST, GOOD)
    assert found.verdict == "fails"
    assert found.p == found.parts[1].decision.p_fails
    assert found.summary.startswith("the score is 10.0 nats lower (8.9 to 11.1) ")
    assert found.summary.endswith("; the other part holds")
    assert judged(two, BAD, GOOD, BEST).verdict == "holds"
    assert judged(two, BAD, GOOD, [-109.0, -110.9, -108.5]).verdict == "undecided"


def test_an_exploratory_part_decides_nothing() -> None:
    two = claim(part("from 2 to 10", D10, D2), part("from 10 to 20", D20, D10, role="exploratory"))
    assert judged(two, BAD, BEST, GOOD).verdict == "holds"
    assert len(judged(two, BAD, BEST, GOOD).parts) == 2


def test_equivalence_is_shown_and_never_assumed() -> None:
    margin = Within("nats", "", -0.5, 0.5)
    same = claim(Part("the same", "?", "the bound is {higher|lower}", Contrast(D20, D10, ELBO), margin))
    close = [-110.0, -110.1, -110.05]
    assert judged(same, BAD, close, close[::-1]).verdict == "holds"
    assert judged(same, BAD, GOOD, [-110.6, -110.4, -110.0]).verdict == "undecided"  # its interval contains 0
    assert judged(same, BAD, GOOD, BEST).verdict == "fails"


def test_more_looks_ask_for_more() -> None:
    twenty = [-107.0, -108.4, -107.3]
    once = judged(claim(part("from 10 to 20", D20, D10, low=1.35)), BAD, GOOD, twenty)
    assert 0.0125 < once.p <= 0.025
    assert once.verdict == "holds"
    assert judged(claim(part("from 10 to 20", D20, D10, low=1.35)), BAD, GOOD, twenty, looks=2).verdict == "undecided"


def test_failed_runs_are_counted_and_said() -> None:
    runs = [rows(D2, {"test/elbo": BAD}), rows(D10, {"test/elbo": GOOD}), diverged(D2, [3, 4])]
    found = claim(part("from 2 to 10", D10, D2)).judge(evidence(*runs)).parts[0]
    assert found.estimate is not None
    assert (found.estimate.n, found.estimate.lost) == (3, 2)
    assert found.sentence.endswith("; 2 of 8 runs did not survive")
    assert len(found.run_ids) == 8


def test_the_share_of_failed_runs() -> None:
    half = Below("%", "", 0.5)
    one = claim(Part("failures", "?", "{value} of the runs fail", Share((D2, D10)), half))
    elbos = {"train/elbo": [float(-seed) for seed in range(10)]}
    found = one.judge(evidence(rows(D2, elbos), diverged(D10, [0]))).parts[0]
    assert found.estimate is not None
    assert (found.estimate.value, found.estimate.n) == (1 / 11, 11)
    assert found.decision.answer == "holds"
    assert one.judge(evidence(diverged(D10, [0, 1, 2]))).verdict == "undecided"
    assert one.judge(evidence(diverged(D10, range(6)))).verdict == "fails"


def test_copies_of_a_run_count_once() -> None:
    """Arms that differ in a setting without effect have the same numbers; they are no further evidence."""
    elbos = {"train/elbo": [-1.0, -2.0, -3.0]}
    one = claim(Part("failures", "?", "{value}", Share((D2, D10, D20)), Below("%", "", 0.5)))
    found = one.judge(evidence(rows(D2, elbos), rows(D10, elbos), rows(D20, {"train/elbo": [-1.0, -2.5, -3.5]})))
    assert found.parts[0].estimate is not None
    assert found.parts[0].estimate.n == 5


def test_more_runs_are_spread_over_the_arms() -> None:
    one = claim(Part("failures", "?", "{value}", Share((D2, D10)), Below("%", "", 0.1)))
    found = one.judge(evidence(rows(D2, {"train/elbo": [-1.0, -2.0]}), rows(D10, {"train/elbo": [-3.0, -4.0]})))
    assert found.parts[0].decision.more_seeds == 32  # 36 runs without a failure
    assert [arm.seeds for arm in found.wanted] == [18, 18]
    assert found.parts[0].would_decide == "about 32 more runs would decide it"


def test_the_spread_over_seeds() -> None:
    one = claim(Part("spread", "?", "{value}", Spread(D2, ELBO), Below("nats", "", 3.0)))
    assert one.judge(evidence(rows(D2, {"test/elbo": [-1.0, -1.2, -0.9, -1.1]}))).verdict == "holds"


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("tags.data.fingerprint", "other", "different data sets"),
        ("params.subset", "1000", "different subsets"),
        ("params.pixels", "dequantised", "different pixel protocols"),
        ("params.likelihood", "gaussian", "nats of bernoulli and density"),
    ],
)
def test_runs_that_may_not_be_compared_are_refused(column: str, value: str, words: str) -> None:
    runs = [rows(D2, {"test/elbo": BAD}), rows(D10, {"test/elbo": GOOD}, **{column: value})]
    with pytest.raises(Incomparable, match=words):
        claim(part("from 2 to 10", D10, D2)).judge(evidence(*runs))


def test_parts_on_different_images_are_refused() -> None:
    """Each part is of one data set, the claim is not."""
    two = claim(*(Part(str(arm), "?", "{value}", Mean(arm, ELBO), Exceeds("nats", "", 0.0)) for arm in (D2, D10)))
    runs = [rows(D2, {"test/elbo": BAD}), rows(D10, {"test/elbo": GOOD}, **{"tags.data.fingerprint": "other"})]
    with pytest.raises(Incomparable, match="one claim cannot rest on different data sets"):
        two.judge(evidence(*runs))


def test_needs_and_metrics_of_a_claim() -> None:
    two = claim(part("from 2 to 10", D10, D2), part("from 10 to 20", D20.with_seeds(7), D10.with_seeds(7)))
    assert {arm.name: arm.seeds for arm in two.needs} == {
        "latent-dims (latent_dim=10)": 7, "latent-dims (latent_dim=2)": 3, "latent-dims (latent_dim=20)": 7
    }  # fmt: skip
    assert two.metrics == ("test/elbo",)


def test_runs_of_a_committed_file_are_named() -> None:
    runs = [rows(D2, {"test/elbo": BAD}, source="latent-dims.csv"), rows(D10, {"test/elbo": GOOD})]
    assert claim(part("from 2 to 10", D10, D2)).judge(evidence(*runs)).parts[0].committed == ("latent-dims.csv",)
