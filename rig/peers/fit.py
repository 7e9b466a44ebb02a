"""Fits scikit-learn's IsolationForest on the messages of a corpus; writes the model for score.py and its trees."""

import argparse
import json

import joblib
import pandas
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import HashingVectorizer

parser = argparse.ArgumentParser()
parser.add_argument("csv")
parser.add_argument("--columns", type=int, required=True)
parser.add_argument("--trees", type=int, default=100)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--model")
parser.add_argument("--export")
arguments = parser.parse_args()

frame = pandas.read_csv(arguments.csv, usecols=["message"], dtype=str, keep_default_na=False)
rows = HashingVectorizer(n_features=arguments.columns).transform(frame["message"])
forest = IsolationForest(n_estimators=arguments.trees, random_state=arguments.seed).fit(rows)
if arguments.model:
    joblib.dump(forest, arguments.model)
if arguments.export:
    trees = []
    for estimator, features in zip(forest.estimators_, forest.estimators_features_):
        tree = estimator.tree_
        trees.append(
            {
                "children_left": tree.children_left.tolist(),
                "children_right": tree.children_right.tolist(),
                "feature": [int(features[f]) if f >= 0 else 0 for f in tree.feature],
                "threshold": tree.threshold.tolist(),
                "n_node_samples": tree.n_node_samples.tolist(),
            }
        )
    with open(arguments.export, "w") as file:
        json.dump({"columns": arguments.columns, "sample_size": int(forest.max_samples_), "trees": trees}, file)
