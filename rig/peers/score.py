"""The usual way to score a CSV: read it, hash the messages, ask the forest; the scores are written."""

import argparse

import joblib
import pandas
from sklearn.feature_extraction.text import HashingVectorizer

parser = argparse.ArgumentParser()
parser.add_argument("csv")
parser.add_argument("--columns", type=int, required=True)
parser.add_argument("--model", required=True)
parser.add_argument("--out", required=True)
parser.add_argument("--rows", type=int)
arguments = parser.parse_args()

forest = joblib.load(arguments.model)
frame = pandas.read_csv(
    arguments.csv, usecols=["message"], dtype=str, keep_default_na=False, nrows=arguments.rows
)
rows = HashingVectorizer(n_features=arguments.columns).transform(frame["message"])
scores = -forest.score_samples(rows)
scores.astype("<f8").tofile(arguments.out)
