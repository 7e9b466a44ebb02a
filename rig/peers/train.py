"""The usual way to train on a CSV: read it, hash the messages, fit the forest with its defaults."""

import argparse

import joblib
import pandas
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import HashingVectorizer

parser = argparse.ArgumentParser()
parser.add_argument("csv")
parser.add_argument("--columns", type=int, required=True)
parser.add_argument("--model", required=True)
arguments = parser.parse_args()

frame = pandas.read_csv(arguments.csv, usecols=["message"], dtype=str, keep_default_na=False)
rows = HashingVectorizer(n_features=arguments.columns).transform(frame["message"])
joblib.dump(IsolationForest(random_state=0).fit(rows), arguments.model)
