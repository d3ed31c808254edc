"""Baselines of scikit-learn on the same columns: gradient boosting and logistic regression, one model for each task."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

BASELINES = {"gradient boosting": "tab:orange", "logistic regression": "tab:gray"}
"""Baselines, and their colors in the plot."""
NUM_TREES, RATE = 200, 0.08


def measure_baseline(
    name: str, train_path: Path, test_path: Path, tasks: Mapping[str, str], flattened: Callable[..., float]
) -> dict[str, float]:
    """Train a baseline for each task and measure it on the test rows, as the models are."""
    train, test = pd.read_parquet(train_path), pd.read_parquet(test_path)
    inputs = [column for column in train.columns if column not in tasks.values()]
    texts = [column for column in inputs if not pd.api.types.is_numeric_dtype(train[column])]
    start = time.perf_counter()
    scores = {}
    for task, label in tasks.items():
        if name == "gradient boosting":
            encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, dtype=np.float64)
            encoder = make_column_transformer((encode, texts), remainder="passthrough", verbose_feature_names_out=False)
            is_category = [column in texts for column in [*texts, *(c for c in inputs if c not in texts)]]
            model = HistGradientBoostingClassifier(
                max_iter=NUM_TREES, learning_rate=RATE, categorical_features=is_category, random_state=0
            )
        else:
            one_hot = OneHotEncoder(handle_unknown="ignore")
            encoder = make_column_transformer((one_hot, texts), remainder=StandardScaler())
            model = LogisticRegression(max_iter=1000)
        pipeline = make_pipeline(encoder, model).fit(train[inputs], train[label])
        scores[task] = pipeline.predict_proba(test[inputs])[:, 1]
    result = {"seconds": time.perf_counter() - start}
    for task, label in tasks.items():
        result[f"auc_{task}"] = float(roc_auc_score(test[label], scores[task]))
        result[f"flattened_auc_{task}"] = flattened(test[label].to_numpy(), scores[task])
    return result
