"""Gradient boosting on a table, as somebody has it who starts, and the measure of a label."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score

MAX_CATEGORIES = 254
"""Categories that the boosting takes; the rarer ones of a column are one."""
NUM_TREES, RATE = 200, 0.08
MAX_CLASSES = 50


def metric_of(label: pd.Series) -> str:
    """The measure of a label: "auc" of 0 and 1, "accuracy" of some more classes, else "r2"."""
    if pd.api.types.is_integer_dtype(label) and label.min() == 0 and label.max() < MAX_CLASSES:
        return "auc" if label.max() == 1 else "accuracy"
    return "r2"


def score(label: np.ndarray, prediction: np.ndarray) -> float:
    """Measure predictions `(B,)`, or `(B, C)` probabilities of classes; larger is better."""
    metric = metric_of(pd.Series(label))
    if metric == "auc":
        return float(roc_auc_score(label, prediction))
    if metric == "accuracy":
        return float((prediction.argmax(1) == label).mean())
    return float(1 - np.square(prediction - label).mean() / label.var())


def boosting(train: pd.DataFrame, test: pd.DataFrame, label: str, labels: tuple[str, ...]) -> tuple[float, str]:
    """Train gradient boosting, with text as categories, and return its measure on the test rows and the name of it."""
    inputs, categories = {}, []
    for name in train.columns.difference(labels):
        column = train[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            inputs[name] = (column.astype("int64"), test[name].astype("int64"))
        elif pd.api.types.is_numeric_dtype(column):
            inputs[name] = (column.astype(float), test[name].astype(float))
        else:
            codes = {value: code for code, value in enumerate(column.value_counts().index[:MAX_CATEGORIES])}
            inputs[name] = tuple(part[name].map(codes).astype(float).fillna(len(codes)) for part in (train, test))
            categories.append(name)
    x, y = (pd.DataFrame({name: parts[half].to_numpy() for name, parts in inputs.items()}) for half in (0, 1))
    metric = metric_of(train[label])
    kind = HistGradientBoostingRegressor if metric == "r2" else HistGradientBoostingClassifier
    model = kind(
        max_iter=NUM_TREES, learning_rate=RATE, early_stopping=True, categorical_features=categories, random_state=0
    )
    model.fit(x, train[label])
    if metric == "r2":
        return score(test[label].to_numpy(), model.predict(y)), metric
    probabilities = model.predict_proba(y)
    return score(test[label].to_numpy(), probabilities[:, 1] if metric == "auc" else probabilities), metric
