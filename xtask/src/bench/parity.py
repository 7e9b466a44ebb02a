"""Forests of scikit-learn and their scores, as JSON on standard output, for the engine to reproduce.

Numbers are written as the integers that have their bits, so that no digit is lost on the way.
"""

import json
import struct
import sys

import numpy as np
from sklearn.ensemble import IsolationForest

SEEDS_PER_MEAN = 20
MEANS = 6


def bits(values):
    return [struct.unpack("<Q", struct.pack("<d", float(value)))[0] for value in values]


def continuous(rng):
    """A crowd, a looser second one, and rows scattered around them."""
    crowd = rng.randn(900, 8)
    loose = rng.randn(80, 8) * 3 + 4
    scattered = rng.uniform(-8, 8, (44, 8))
    return np.concatenate([crowd, loose, scattered])


def words(rng):
    """Few values a row, as hashed lines of text have: templates of common words and some rare ones."""
    columns, rows = 512, 1500
    templates = [rng.choice(columns // 2, rng.randint(4, 14), replace=False) for _ in range(40)]
    frequency = 1 / np.arange(1, 41)
    matrix = np.zeros((rows, columns))
    for row in matrix:
        row[templates[rng.choice(40, p=frequency / frequency.sum())]] += 1
        if rng.rand() < 0.05:
            row[rng.choice(columns, 5)] += rng.choice([-1, 1, 2], 5)
        row /= np.linalg.norm(row)
    return matrix


def export(forest, matrix):
    def tree(estimator):
        nodes = estimator.tree_
        return {
            "children_left": nodes.children_left.tolist(),
            "children_right": nodes.children_right.tolist(),
            "feature": nodes.feature.tolist(),
            "threshold": bits(nodes.threshold),
            "n_node_samples": nodes.n_node_samples.tolist(),
        }

    return {
        "sample_size": int(forest.max_samples_),
        "trees": [tree(estimator) for estimator in forest.estimators_],
        "scores": bits(-forest.score_samples(matrix)),
    }


def main():
    matrices = {"continuous": continuous, "words": words}
    result = []
    for name, make in matrices.items():
        matrix = make(np.random.RandomState(7)).astype(np.float32)
        exported = [
            export(IsolationForest(n_estimators=trees, max_samples=samples, random_state=3).fit(matrix), matrix)
            for trees, samples in [(100, 256), (50, 64), (20, len(matrix))]
        ]
        means = []
        for group in range(MEANS):
            seeds = range(group * SEEDS_PER_MEAN, (group + 1) * SEEDS_PER_MEAN)
            fitted = (IsolationForest(n_estimators=100, random_state=seed).fit(matrix) for seed in seeds)
            means.append(bits(np.mean([-forest.score_samples(matrix) for forest in fitted], axis=0)))
        rows = [[[int(column), *bits([row[column]])] for column in np.flatnonzero(row)] for row in matrix]
        result.append(
            {"name": name, "columns": matrix.shape[1], "rows": rows, "forests": exported, "means": means}
        )
    json.dump(result, sys.stdout)


main()
