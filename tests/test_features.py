"""Known features, and features matched with others: against NumPy, worked out the long way."""

import itertools

import numpy as np
import pytest

from sparse_autoencoder import features
from sparse_autoencoder.features import FAMILIES, PAIRS

RNG = np.random.default_rng(0)
AXES = np.eye(6)


def test_known_examples_are_what_they_are_made_of():
    examples, directions, sizes = features.known_examples(3000, seed=1)
    assert (examples.shape, directions.shape, sizes.shape) == ((3000, 64), (256, 64), (3000, 256))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(examples, sizes @ directions, atol=1e-5)
    assert ((sizes == 0) | (sizes >= 0.5) & (sizes <= 1.5)).all()
    again = features.known_examples(3000, seed=1)
    for one, other in zip(again, (examples, directions, sizes), strict=True):
        np.testing.assert_array_equal(one, other)


def test_known_features_are_frequent_or_rare_and_some_keep_company():
    _, _, sizes = features.known_examples(20_000)
    present = sizes > 0
    assert present.sum(axis=1).mean() == pytest.approx(5, rel=0.1)
    assert present[:, 0].mean() > 20 * present[:, -1].mean() > 0
    for first, second in PAIRS:
        assert present[present[:, first], second].mean() == pytest.approx(0.8, abs=0.06)
    for parent, children in FAMILIES:
        child = present[:, children].any(axis=1)
        assert present[child, parent].all() and 0 < present[~child, parent].mean() < 0.1
    assert features.COMPANY[:4] == [10, 11, 20, 21] and len(features.COMPANY) == 4 * (2 + 4)


def test_cosines_are_of_any_length_and_0_for_no_direction():
    found = features.cosines(np.array([[2.0, 0], [1, 1]]), np.array([[0, 3.0], [-5, 0], [0, 0]]))
    np.testing.assert_allclose(found, [[0, -1, 0], [np.sqrt(0.5), -np.sqrt(0.5), 0]], atol=1e-12)


def test_a_match_is_the_best_of_all_that_there_are():
    ours, others = RNG.normal(size=(2, 5, 4))
    cosine, partner = features.match(ours, others)
    alike = features.cosines(ours, others)
    best = max(alike[range(5), order].sum() for order in itertools.permutations(range(5)))
    assert sorted(partner) == list(range(5)) and cosine.sum() == pytest.approx(best)
    np.testing.assert_allclose(cosine, alike[range(5), partner])


def test_with_too_few_partners_some_get_none():
    cosine, partner = features.match(AXES[:3], AXES[[2, 0]])
    assert cosine.tolist() == [1, 0, 1] and partner.tolist() == [1, -1, 0]
    cosine, partner = features.match(AXES[:2], AXES[::-1])
    assert cosine.tolist() == [1, 1] and partner.tolist() == [5, 4]


def test_f1_is_that_of_scikit_learn():
    from sklearn.metrics import f1_score

    present, active = RNG.random((2, 50, 3)) < 0.4
    active[:, 2] = False
    expected = [f1_score(present[:, i], active[:, i], zero_division=0) for i in range(3)]
    np.testing.assert_allclose(features.f1_of_activity(present, active), expected)


@pytest.mark.parametrize(
    "rows, expected",
    [
        ([[1, 0], [0, 1]], 0),  # a unit each
        ([[1, 1], [-1, 0]], np.sqrt(0.5)),  # one for the sum
        ([[0.8, -0.6], [0, 2]], 0.3),  # the first leans away from the second
    ],
)
def test_hedging_is_how_far_units_lean_to_each_other(rows, expected):
    skewed = np.array([[1, 0, 0], [0.6, 0.8, 0]])  # the pair itself need not be perpendicular
    for directions in (AXES[:2], skewed):
        aside = features.perpendicular(directions[1], directions[0])
        np.testing.assert_allclose([aside @ directions[0], aside @ aside], [0, 1], atol=1e-12)
    decoder = np.array(rows, dtype=float) @ AXES[:2]
    assert features.hedging(AXES[:2], decoder, [(0, 1)]) == pytest.approx(expected)


def test_units_are_active_where_a_feature_is_alone_or_both_are():
    present = np.zeros((6, 256), dtype=bool)
    present[[0, 1, 2], 20] = present[[2, 3], 21] = present[1, 22] = True  # 22 is 21's sibling
    active = np.array([[1, 0], [0, 0], [0, 1], [1, 1], [1, 1], [0, 1]]) > 0
    assert features.occasions(present, active, 20, 21).tolist() == [[1, 0], [1, 1], [0, 1]]
    assert features.occasions(present, active, 21, 22).tolist() == [[0.5, 1], [0, 0], [0, 0]]


def test_absorption_is_a_parents_silence_where_a_child_is():
    families = [(0, (1, 2))]
    decoder = np.stack([AXES[0], AXES[0] + AXES[1], AXES[2]])
    sizes = np.array([[1.0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [0, 0, 0]])
    active = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0]]) > 0
    with_child, alone = features.silences(AXES[:3], sizes, decoder, active, families)
    assert with_child == pytest.approx(200 / 3) and alone == pytest.approx(50)
    expected = (np.sqrt(0.5) + 0) / 2  # of the two children, one unit draws the parent along
    assert features.carried(AXES[:3], decoder, families) == pytest.approx(expected)


def test_chance_has_the_mean_and_the_covariance_of_the_features():
    ours = RNG.normal(size=(40, 3)) @ np.array([[3, 1, 0], [0, 1, 0], [0, 0, 0.1]]) + [5, 0, -1]
    drawn = np.concatenate([features.like(ours, np.random.default_rng(i)) for i in range(200)])
    np.testing.assert_allclose(drawn.mean(axis=0), ours.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(ours.T, bias=True), atol=0.4)
    assert np.max(features.cosines(drawn[:40], ours)) < 1


def test_purity_is_the_share_of_the_commonest_digit_among_the_top_images():
    labels = np.array([3, 3, 3, 7, 7, 1])
    code = np.array([[9, 0, 1], [8, 0, 2], [7, 0, 3], [6, 2, 4], [5, 3, 5], [4, 0, 6.0]])
    found = features.purity(code, labels, top=4)
    np.testing.assert_allclose(found, [75, np.nan, 50])  # the second is active in two images


def test_the_purest_unit_is_the_one_active_most_often_where_several_are_as_pure():
    labels = np.array([7, 7, 3, 3, 3])
    code = np.array([[9, 9, 0, 0], [8, 8, 0, 7], [0, 7, 0, 8], [0, 0, 0, 9], [0, 0, 1, 6.0]])
    assert features.purest(code, labels, top=2) == (3, 3)  # two others are as pure, one is purer
    assert features.purest(code[:, :2], labels, top=2) == (1, 7)


def test_a_unit_is_switched_off_where_it_is_active():
    code = np.array([[2.0, 1], [0, 5], [4, 0]])
    rows, last = np.array([[1.0, 0, 1], [0, 1, 0]]), np.array([[1.0, 0], [0, 1], [1, -1]])
    change = features.switched_off(lambda h: h @ last + 7, lambda code: code @ rows, code, 0)
    np.testing.assert_allclose(change, [-6, 3])  # -3, its mean where active, times row times last


def test_steering_counts_what_is_read_as_the_digit_at_each_length():
    hidden, directions = np.array([[1.0, 0, 0], [3, 0, 0]]), np.array([[0, 0.5, 0], [0, 0, 9]])
    found = features.steered(lambda h: h, hidden, directions[:1], [0, 2, 4], 1)
    assert found.tolist() == [0, 50, 100]
    found = features.steered(lambda h: h, hidden, directions, [0, 2, 4], 1)
    assert found.tolist() == [0, 25, 50]  # the other direction steers to digit 2


@pytest.mark.parametrize("absent, fading, long", [(0.95, 1, 5), (0, 0.7, 2)])
def test_rare_features_share_two_numbers_and_frequent_ones_do_not(absent, fading, long):
    W = features.squeeze(absent, fading)
    assert W.shape == (5, 2) and np.sum(np.linalg.norm(W, axis=1) > 0.5) == long
