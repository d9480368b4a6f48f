"""With pandas, as many would write it: read as text, convert, judge with masks, group.

    python with_pandas.py        in a folder that benchmarks.whole prepares

Amounts are floats, as pandas has no decimals that add up quickly. With a new delivery all vouchers of the lake are
counted again. Left out besides what by_hand.py leaves out: any event of the register but coming and leaving, tests but
the two at the end, an archive, digests of what is published.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

NAMES = ["voucher_no", "uscc", "tax_type", "tax_period", "treasury_date", "kind", "amount"]
KINDS = {"入库": "collection", "退库": "refund", "冲正": "reversal"}
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
WEIGHTS = [3**place % 31 for place in range(17)]
METRICS = ["financial_tax_revenue", "financial_tax_revenue_gross", "tax_revenue_out_of_scope"]


def labels(dimension: str) -> pd.Series:
    """The members of a dimension by their Chinese label."""
    members = pd.read_csv("seeds/dimension_member.csv").query("dimension == @dimension")
    return members.set_index("label_zh")["member"]


def arrived(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(accepted rows, refused rows) of a delivery."""
    raw = pd.read_csv(path, dtype=str, header=0, names=NAMES, keep_default_na=False)
    line = raw.index + 2
    day = pd.Timestamp(path.stem[-8:])
    amount = pd.to_numeric(raw["amount"].where(raw["amount"].str.fullmatch(r"-?\d+(\.\d{0,6})?")))
    received = pd.to_datetime(raw["treasury_date"], format="%Y-%m-%d", errors="coerce")
    typed = raw.assign(
        line=line, published_on=day, amount=amount, treasury_date=received,
        tax_type=raw["tax_type"].map(labels("tax_type")), kind=raw["kind"].map(KINDS),
    )  # fmt: skip
    month = r"\d{4}-(?:0[1-9]|1[0-2])"
    typed["rule"] = np.select(
        [
            (raw == "").any(axis=1),
            amount.isna(),
            received.isna(),
            ~raw["tax_period"].str.fullmatch(f"{month}(?:~{month})?")
            | (raw["tax_period"].str[8:] != "") & (raw["tax_period"].str[8:] < raw["tax_period"].str[:7]),
            typed["tax_type"].isna() | typed["kind"].isna(),
            ~raw["uscc"].str.fullmatch("[0-9ABCDEFGHJKLMNPQRTUWXY]{18}"),
            received > day,
            np.where(typed["kind"] == "collection", amount < 0, amount > 0),
        ],
        ["required", "number", "date", "period", "enum", "uscc_format", "future_date", "sign"],
        default="",
    )
    is_copy = raw.duplicated()
    conflicts = raw["voucher_no"].isin(raw.loc[~is_copy & raw["voucher_no"].duplicated(), "voucher_no"])
    typed.loc[conflicts & (typed["rule"] == ""), "rule"] = "conflicting_key"
    refused = raw.assign(line=line, rule=typed["rule"])[typed["rule"] != ""]
    accepted = typed[(typed["rule"] == "") & ~is_copy].drop(columns="rule")
    return accepted.assign(uscc_check=accepted["uscc"].map(miswritten(accepted["uscc"]))), refused


def miswritten(codes: pd.Series) -> dict[str, bool]:
    """Whether the check character of each code is a wrong one (GB 32100-2015)."""
    known = codes.unique()
    places = np.array([[ALPHABET.index(character) for character in code] for code in known]).reshape(-1, 18)
    return dict(zip(known, (31 - places[:, :17] @ WEIGHTS % 31) % 31 != places[:, 17], strict=True))


def residence() -> pd.DataFrame:
    """From which day on each registered taxpayer counts as what; it comes or leaves."""
    events = pd.concat(pd.read_csv(path, dtype=str) for path in Path("register").iterdir())
    scope = pd.read_csv("seeds/metric_scope.csv").set_index("category")["in_scope"]
    category, resident = events["机构类别"].map(labels("category")), events["事件类型"] == "引进"
    counts = resident & category.map(scope).astype(bool)
    return pd.DataFrame({
        "uscc": events["统一社会信用代码"],
        "from_day": pd.to_datetime(events["事件日期"]),
        "category": category.where(counts),
        "reason": np.select([~resident, ~counts], ["not_resident", "category"], default=""),
    }).sort_values("from_day")  # fmt: skip


def cells(vouchers: pd.DataFrame) -> pd.DataFrame:
    """The current vouchers, added up by month, category or reason, tax and kind."""
    current = vouchers.sort_values("published_on", kind="stable").drop_duplicates("voucher_no", keep="last")
    known = residence()
    found = pd.merge_asof(
        current.sort_values("treasury_date"), known, left_on="treasury_date", right_on="from_day", by="uscc"
    )
    absent = np.where(found["uscc"].isin(known["uscc"]), "not_resident", "not_registered")
    found["reason"] = found["reason"].fillna(pd.Series(absent, found.index))
    found["month"] = found["treasury_date"].dt.to_period("M")
    keys = ["month", "category", "reason", "tax_type", "kind"]
    return found.groupby(keys, as_index=False, dropna=False)["amount"].sum()


def levels(revenue: pd.DataFrame) -> pd.DataFrame:
    """Each level's part of the revenue by month and tax, to the fen; the largest share takes the rest."""
    sharing = pd.read_csv("seeds/tax_sharing.csv").query("scheme == 'standard'").set_index("tax_type")
    shares = sharing.loc[revenue["tax_type"], ["central", "province", "city_district"]]
    fen = shares.to_numpy() * revenue[["amount"]].to_numpy()
    parts = np.sign(fen) * np.floor(np.abs(fen).round(4) + 0.5) / 100
    rows, largest = np.arange(len(parts)), shares.to_numpy().argmax(axis=1)
    parts[rows, largest] = 0
    parts[rows, largest] = revenue["amount"] - parts.sum(axis=1)
    wide = pd.DataFrame(parts, columns=shares.columns).assign(month=revenue["month"])
    return wide.melt("month", var_name="member", value_name="amount")


def monthly(cell: pd.DataFrame, last_month: pd.Period) -> pd.DataFrame:
    """The metrics in 100 million yuan, a column for each month, with a zero where a member has none."""
    inside, outside = cell[cell["category"].notna()], cell[cell["reason"] != ""]
    gross = inside[inside["kind"] == "collection"]
    of_levels = levels(inside.groupby(["month", "tax_type"], as_index=False)["amount"].sum())
    parts = [
        (METRICS[0], "total", inside, None), (METRICS[0], "category", inside, "category"),
        (METRICS[0], "tax_type", inside, "tax_type"), (METRICS[0], "fiscal_level", of_levels, "member"),
        (METRICS[1], "total", gross, None),
        (METRICS[2], "total", outside, None), (METRICS[2], "reason", outside, "reason"),
    ]  # fmt: skip
    rows = pd.concat(
        part[["month", "amount"]].assign(
            metric_id=metric, dimension=dimension, member=part[column] if column else "total"
        )
        for metric, dimension, part, column in parts
    )
    found = rows.pivot_table("amount", ["metric_id", "dimension", "member"], "month", "sum", observed=True) / 1e8
    in_scope = set(pd.read_csv("seeds/metric_scope.csv").query("in_scope")["category"])  # noqa: F841  (in the query)
    members = pd.read_csv("seeds/dimension_member.csv").query("dimension != 'category' or member in @in_scope")
    dimensions = pd.read_csv("seeds/metric.csv").query("metric_id in @METRICS")[["metric_id", "dimensions"]]
    dimensions = dimensions.assign(dimension=dimensions["dimensions"].str.split()).explode("dimension")
    series = dimensions.merge(members, on="dimension").set_index(["metric_id", "dimension", "member"]).index
    return found.loc[:, found.columns <= last_month].reindex(series).fillna(0)


def periods(month: pd.DataFrame) -> pd.DataFrame:
    """The metrics by month, quarter and year, and the year to date."""
    to_date = month.loc[[METRICS[0]]].T.groupby(month.columns.year).cumsum().T.rename({METRICS[0]: METRICS[0] + "_ytd"})
    found = [("M", month), ("M", to_date)]
    for frequency, months in (("Q", 3), ("A", 12)):
        groups = month.T.groupby(month.columns.asfreq("Y" if frequency == "A" else "Q"))
        found.append((frequency, groups.sum()[groups.size() == months].T))
    return pd.concat(
        table.set_axis(table.columns.strftime({"M": "%Y-%m", "Q": "%Y-Q%q", "A": "%Y"}[frequency]), axis=1)
        .melt(var_name="period", ignore_index=False).reset_index().assign(frequency=frequency)
        for frequency, table in found
    )  # fmt: skip


def main() -> None:
    """The delivery into the lake, the metrics of all vouchers of the lake, and two tests of them."""
    delivery = next(Path("arrived").iterdir())
    day = delivery.stem[-8:]
    for folder in ("lake", "published"):
        Path(folder).mkdir(exist_ok=True)
    accepted, refused = arrived(delivery)
    assert len(refused) <= 0.25 * len(accepted), "more than a fifth of the delivery is refused"
    accepted.to_parquet(f"lake/{day}.parquet", compression="zstd")
    refused.to_parquet(f"published/quarantine_{day}.parquet", compression="zstd")
    vouchers = pd.concat([pd.read_parquet(path) for path in sorted(Path("lake").iterdir())])
    cell = cells(vouchers)
    metric = periods(monthly(cell, (pd.Timestamp(day) + pd.Timedelta(days=1)).to_period("M") - 1))
    totals = metric.query("frequency == 'M' and dimension == 'total' and metric_id in @METRICS[::2]")["value"].sum()
    assert np.isclose(totals, cell["amount"].sum() / 1e8), "in and out of scope is not the feed"
    assert not metric["value"].isna().any(), "a metric is missing"
    metric.to_parquet("published/metric.parquet", index=False, compression="zstd")


if __name__ == "__main__":
    main()
