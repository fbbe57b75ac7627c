"""Do features mean anything? Known ones to look for, and features matched with others.

A feature is a row of W2 here: what one unit draws. Lesson 08 derives or uses what stands here.
"""

import numpy as np

PAIRS = [(10, 11), (30, 31), (50, 51), (70, 71)]  # known features that often come together
FAMILIES = [(20, (21, 22, 23)), (40, (41, 42, 43)), (60, (61, 62, 63)), (80, (81, 82, 83))]
COMPANY = sorted(np.ravel(PAIRS).tolist() + [n for p, children in FAMILIES for n in (p, *children)])


def known_examples(count=20_000, features=256, dimensions=64, active=5, seed=0):
    """Examples made of known features: more than dimensions, some frequent, some in company.

    The second feature of a pair mostly copies the first, and a parent is there wherever one of its
    children is: see PAIRS and FAMILIES.

    Args:
        count: of examples.
        features: how many directions there are, the most frequent first.
        dimensions: numbers in an example.
        active: features in an example, about; each with a size between 0.5 and 1.5.
        seed: of all that is drawn.

    Returns:
        examples, (count, dimensions); directions of length 1, (features, dimensions); sizes, 0
        where a feature is absent, (count, features).
    """
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(features, dimensions))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shares = 1 / np.arange(6, features + 6)
    shares *= active / shares.sum()
    present = rng.random((count, features)) < shares
    for first, second in PAIRS:
        together = rng.random(count) < 0.8
        present[:, second] = np.where(together, present[:, first], present[:, second])
    for parent, children in FAMILIES:
        present[:, parent] |= present[:, children].any(axis=1)
    sizes = present * rng.uniform(0.5, 1.5, present.shape)
    return np.float32(sizes @ directions), np.float32(directions), np.float32(sizes)


def cosines(features, others):
    """Cosine of each feature with each other one: (n, size) and (m, size) → (n, m)."""
    lengths = [np.linalg.norm(rows, axis=1, keepdims=True) for rows in (features, others)]
    features, others = (
        rows / np.maximum(length, 1e-12)
        for rows, length in zip((features, others), lengths, strict=True)
    )
    return features @ others.T


def match(features, others):
    """Features matched one to one, so that the sum of the cosines is as large as it can be.

    Args:
        features: (n, size).
        others: (m, size).

    Returns:
        the cosine of each feature with its partner, (n,), 0 where none is left for it; and the
        partner's row number, (n,), −1 there.
    """
    from scipy.optimize import linear_sum_assignment

    alike = cosines(features, others)
    rows, columns = linear_sum_assignment(-alike)
    cosine, partner = np.zeros(len(alike)), np.full(len(alike), -1)
    cosine[rows], partner[rows] = alike[rows, columns], columns
    return cosine, partner


def f1_of_activity(present, active):
    """F1 of "the unit is active" as an answer to "the feature is there", for each pair of columns.

    Args:
        present: (n, features) booleans.
        active: likewise, of the unit that stands for each feature.

    Returns:
        (features,), 1 where the two always agree, 0 where they never meet.
    """
    both = np.sum(present & active, axis=0)
    return 2 * both / np.maximum(np.sum(present, axis=0) + np.sum(active, axis=0), 1)


def perpendicular(direction, to):
    """The part of a direction that is perpendicular to another, of length 1: (size,) twice."""
    rest = direction - (direction @ to) / (to @ to) * to
    return rest / np.linalg.norm(rest)


def lean(directions, decoder, own, other):
    """How far the unit that is most like direction `own` leans to direction `other`: a cosine."""
    unit = decoder[cosines(directions[[own]], decoder).argmax()]
    aside = perpendicular(directions[other], directions[own])
    return np.abs(aside @ unit) / np.linalg.norm(unit)


def hedging(directions, decoder, pairs=PAIRS):
    """How far the units of two features that come together lean to each other.

    Of the unit that is most like a feature: its cosine with that part of the other feature which is
    perpendicular to this one, up or down. 0: pure. 0.71: a unit for the sum of both.

    Args:
        directions: the known features, (features, dimensions).
        decoder: W2, (units, dimensions).
        pairs: row numbers of directions, two and two.

    Returns:
        the mean over all pairs, both ways.
    """
    both_ways = [way for pair in pairs for way in (pair, pair[::-1])]
    return np.mean([lean(directions, decoder, *way) for way in both_ways])


def carried(directions, decoder, families=FAMILIES):
    """How much of the parent its children's units draw along: a mean of leanings.

    That is the cosine with the part of the parent which is perpendicular to the child, up or down;
    0.71 is an even mix. The arguments are those of silences.
    """
    pairs = [(child, parent) for parent, children in families for child in children]
    return np.mean([lean(directions, decoder, *pair) for pair in pairs])


def silences(directions, sizes, decoder, active, families=FAMILIES):
    """How often a parent's unit is silent although the parent is there: absorption, and without it.

    The parent's unit is the one that is most like it.

    Args:
        directions: the known features, (features, dimensions).
        sizes: (n, features), 0 where a feature is absent.
        decoder: W2, (units, dimensions).
        active: (n, units) booleans.
        families: (parent, children), row numbers of directions.

    Returns:
        percent of the examples with a child, and of those with the parent alone; means over the
        families.
    """
    found = []
    for parent, children in families:
        silent = ~active[:, cosines(directions[[parent]], decoder).argmax()]
        child = (sizes[:, children] > 0).any(axis=1)
        alone = (sizes[:, parent] > 0) & ~child
        found.append([100 * silent[child].mean(), 100 * silent[alone].mean()])
    return tuple(np.mean(found, axis=0))


def occasions(present, active, first, second):
    """How often each unit is active where a feature comes alone, where another does, where both do.

    With a parent and its child, examples with another of its children do not count.

    Args:
        present: (n, features) booleans.
        active: (n, units) booleans.
        first: a column of `present`.
        second: another one.

    Returns:
        shares, (3, units): the first alone, the second alone, both; 0 where that never happens.
    """
    siblings = [n for parent, children in FAMILIES if parent == first for n in children]
    others = [n for n in siblings if n != second]
    one, two = (present[:, n] & ~present[:, others].any(axis=1) for n in (first, second))
    groups = (one & ~two, two & ~one, one & two)
    return np.stack([active[group].sum(axis=0) / max(group.sum(), 1) for group in groups])


def like(directions, rng):
    """Directions drawn at random with the mean and the covariance of these, (n, size) both."""
    mean = directions.mean(axis=0)
    mixed = rng.normal(size=(len(directions),) * 2) / np.sqrt(len(directions))
    return mean + mixed @ (directions - mean)


def purity(code, labels, top=50):
    """Percent of its top images that show the commonest digit among them: (units,).

    Args:
        code: (n, units).
        labels: (n,) integers.
        top: how many images of each unit; a unit that is active in fewer is left out (NaN).
    """
    code = np.asarray(code)
    strongest = labels[np.argsort(-code, axis=0, kind="stable")[:top]]
    counts = [(strongest == label).sum(axis=0) for label in np.unique(labels)]
    return np.where((code > 0).sum(axis=0) < top, np.nan, 100 * np.max(counts, axis=0) / top)


def purest(code, labels, top=50):
    """The unit with the purest top images; of equally pure ones, the one active most often.

    Args:
        code: (n, units).
        labels: (n,) integers.
        top: as for purity.

    Returns:
        the unit's number, and the digit that most of its top images show.
    """
    pure, often = np.nan_to_num(purity(code, labels, top)), (code > 0).sum(axis=0)
    unit = int(np.lexsort([often, pure])[-1])
    return unit, int(np.bincount(labels[np.argsort(-code[:, unit])[:top]]).argmax())


def switched_off(outputs, decoder, code, unit):
    """How a network's outputs change when a unit is set to 0: a mean, where it is active.

    Args:
        outputs: what the network makes of hidden units, (n, size) → (n, outputs).
        decoder: what draws the hidden units from a code, (n, units) → (n, size).
        code: (n, units).
        unit: its number.

    Returns:
        (outputs,).
    """
    on = code[code[:, unit] > 0]
    off = np.where(np.arange(code.shape[1]) == unit, 0, on)
    before, after = (np.asarray(outputs(decoder(some))) for some in (on, off))
    return np.mean(after - before, axis=0)


def steered(outputs, hidden, directions, lengths, digit):
    """Percent of the images that a network reads as a digit when a direction is added.

    Args:
        outputs: what the network makes of hidden units, (n, size) → (n, digits).
        hidden: the hidden units of the images, (n, size).
        directions: (m, size), of any length; the mean over all of them is returned.
        lengths: how much of a direction is added, one after the other.
        digit: the one that is asked for.

    Returns:
        (lengths,).
    """
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    found = np.zeros(len(lengths))
    for i, length in enumerate(lengths):
        moved = (np.float32(hidden + length * direction) for direction in directions)
        read = [np.asarray(outputs(some)).argmax(axis=1) for some in moved]
        found[i] = 100 * np.mean(np.equal(read, digit))
    return found


def squeeze(absent, fading, features=5, starts=4, steps=2000, seed=0):
    """Train the smallest example of superposition: features that pass through two numbers.

    h = xW and x̂ = max(0, hWᵀ + b), with Adam on batches of 256 examples; Elhage et al. 2022.

    Args:
        absent: how often a feature is 0, between 0 and 1; else it lies between 0 and 1, at random.
        fading: the importance of a feature's squared error, as a multiple of the one before.
        features: how many there are.
        starts: trained side by side; the one with the lowest loss is returned.
        steps: of training.
        seed: of the starts and the examples.

    Returns:
        W, (features, 2).
    """
    rng = np.random.default_rng(seed)
    importance = fading ** np.arange(features)
    learnt = rng.normal(size=(starts, features, 3)) / 2  # of each start: W, and b behind it
    mean, square, losses = np.zeros_like(learnt), np.zeros_like(learnt), np.zeros(starts)
    for step in range(1, steps + 1):
        x = rng.random((256, features)) * (rng.random((256, features)) >= absent)
        W, b = learnt[..., :2], learnt[..., 2]
        h = x @ W
        z = h @ W.swapaxes(1, 2) + b[:, None]
        error = np.maximum(z, 0) - x
        losses += 0.01 * (np.mean(importance * error**2, axis=(1, 2)) - losses)
        slope = importance * error * (z > 0) / len(x)
        by_W = slope.swapaxes(1, 2) @ h + x.T @ (slope @ W)
        gradient = np.concatenate([by_W, slope.sum(axis=1)[..., None]], axis=2)
        mean += 0.1 * (gradient - mean)
        square += 0.001 * (gradient**2 - square)
        learnt -= 0.02 * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return learnt[losses.argmin(), :, :2]
