"""scikit-learn as it is usually wired: words hashed to 2^12 columns, an isolation forest of 100 trees of 256 samples.

Reads from standard input one JSON object {"documents": [text], "cases": [{"train": [index], "test": [index]}],
"seeds": N, "contamination": share}; writes, for each case, a list with one {"threshold", "scores"} for each seed.
"""

import json
import sys

import numpy
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import HashingVectorizer


def main():
    given = json.load(sys.stdin)
    rows = HashingVectorizer(n_features=2**12).transform(given["documents"])
    cases = []
    for case in given["cases"]:
        train, test = rows[case["train"]], rows[case["test"]]
        seeds = []
        for seed in range(given["seeds"]):
            forest = IsolationForest(
                n_estimators=100, max_samples=min(256, train.shape[0]), random_state=seed
            ).fit(train)
            threshold = numpy.quantile(-forest.score_samples(train), 1 - given["contamination"])
            scores = -forest.score_samples(test)
            seeds.append({"threshold": float(threshold), "scores": scores.tolist()})
        cases.append(seeds)
    json.dump(cases, sys.stdout)


main()
