"""Spark Structured Streaming as its users score logs: JSON files in, scikit-learn in a pandas UDF, odd lines out.

Prints one JSON line a measurement: rows and seconds of a bulk of files (Spark's own account of its triggers), then
the seconds from writing a small file to its rows being in the output.
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator

import joblib
import numpy
import pandas
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, pandas_udf
from sklearn.feature_extraction.text import HashingVectorizer

parser = argparse.ArgumentParser()
parser.add_argument("bulk", help="folder of *.jsonl files that are scored at once, again in every repeat")
parser.add_argument("--columns", type=int, required=True)
parser.add_argument("--model", required=True)
parser.add_argument("--work", required=True)
parser.add_argument("--cores", type=int, default=2)
parser.add_argument("--repeats", type=int, default=5)
parser.add_argument("--drops", type=int, default=40, help="small files, one every half second")
arguments = parser.parse_args()

SCHEMA = "timestamp string, service string, level string, message string, sent double"
work = arguments.work
shutil.rmtree(work, ignore_errors=True)
session = (
    SparkSession.builder.master(f"local[{arguments.cores}]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", str(arguments.cores))
    .config("spark.driver.memory", "2g")
    .config("spark.local.dir", f"{work}/local")
    .getOrCreate()
)
session.sparkContext.setLogLevel("ERROR")
columns, model = arguments.columns, arguments.model


@pandas_udf("double")
def score(batches: Iterator[pandas.Series]) -> Iterator[pandas.Series]:
    forest, vectorizer = joblib.load(model), HashingVectorizer(n_features=columns)
    for messages in batches:
        yield pandas.Series(-forest.score_samples(vectorizer.transform(messages)))


def start(name: str, threshold: float):
    folder = f"{work}/{name}"
    os.makedirs(f"{folder}/in")
    lines = session.readStream.schema(SCHEMA).json(f"{folder}/in")
    odd = lines.withColumn("score", score(col("message"))).where(col("score") > threshold)
    query = odd.writeStream.format("json").option("path", f"{folder}/out")
    return folder, query.option("checkpointLocation", f"{folder}/state").start()


def rows_and_seconds(query, seen: set) -> tuple[int, float]:
    rows = seconds = 0
    for progress in query.recentProgress:
        if progress["numInputRows"] > 0 and progress["batchId"] not in seen:
            seen.add(progress["batchId"])
            rows += progress["numInputRows"]
            seconds += progress["durationMs"]["triggerExecution"] / 1000
    return rows, seconds


def throughput() -> None:
    files = sorted(os.listdir(arguments.bulk))
    with open(f"{arguments.bulk}/{files[0]}") as file:
        sample = [json.loads(line)["message"] for line, _ in zip(file, range(20_000))]
    total = sum(sum(1 for _ in open(f"{arguments.bulk}/{file}")) for file in files)
    forest = joblib.load(model)
    scores = -forest.score_samples(HashingVectorizer(n_features=columns).transform(sample))
    folder, query = start("bulk", float(numpy.quantile(scores, 0.95)))
    seen = set()
    for repeat in range(-1, arguments.repeats):
        # All files appear at once; the first round warms up and is not told.
        os.makedirs(f"{folder}/wait", exist_ok=True)
        for file in files:
            shutil.copy(f"{arguments.bulk}/{file}", f"{folder}/wait/{repeat}-{file}")
        for file in files:
            os.rename(f"{folder}/wait/{repeat}-{file}", f"{folder}/in/{repeat}-{file}")
        rows = seconds = 0
        while rows < total:
            time.sleep(0.2)
            if query.exception():
                raise query.exception()
            more = rows_and_seconds(query, seen)
            rows, seconds = rows + more[0], seconds + more[1]
        if repeat >= 0:
            print(json.dumps({"rows": rows, "seconds": seconds}), flush=True)
    query.stop()


def latency() -> None:
    folder, query = start("drops", -1.0)
    seen, latencies = set(), []
    for drop in range(arguments.drops + 5):
        path = f"{folder}/{drop}.jsonl"
        sent = time.time()
        with open(path, "w") as file:
            for row in range(100):
                line = {"service": "s", "level": "INFO", "message": f"request {row} took {drop} ms", "sent": sent}
                file.write(json.dumps(line) + "\n")
        os.rename(path, f"{folder}/in/{drop}.jsonl")
        while not (arrived := new_output(folder, seen)):
            if time.time() - sent > 60:
                raise TimeoutError(f"drop {drop} did not arrive")
            time.sleep(0.005)
        if drop >= 5:
            latencies.extend(time.time() - value for value in arrived)
        time.sleep(max(0.0, 0.5 - (time.time() - sent)))
    query.stop()
    print(json.dumps({"latencies": latencies}), flush=True)


def new_output(folder: str, seen: set) -> list[float]:
    """When the rows were sent of every file that is new and whole: a drop makes one of 100 lines."""
    arrived = []
    names = os.listdir(f"{folder}/out") if os.path.isdir(f"{folder}/out") else []
    for name in sorted(names):
        if name.endswith(".json") and not name.startswith(".") and name not in seen:
            with open(f"{folder}/out/{name}") as file:
                lines = file.read().splitlines()
            if len(lines) == 100:
                seen.add(name)
                arrived.extend(json.loads(line)["sent"] for line in lines)
    return sorted(set(arrived))


throughput()
latency()
session.stop()
