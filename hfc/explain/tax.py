"""Tax vouchers with what they count as on their day, and the levels of government that share them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from hfc.explain import institutions
from hfc.explain.evidence import PLACE, Evidence
from hfc.home import SEEDS
from ingest.columns import text_literal

METRICS = (
    "financial_tax_revenue", "financial_tax_revenue_ytd", "financial_tax_revenue_gross", "tax_revenue_out_of_scope",
)  # fmt: skip
LEVELS = ("central", "province", "city_district")


def seed(name: str, key: str = "") -> str:
    """SQL of a seed's rows as texts; with a key, each line with the days from and until which it holds. The first line
    of a key also holds before its date."""
    rows = f"read_csv({text_literal(str(SEEDS / f'{name}.csv'))}, all_varchar = true)"
    if not key:
        return rows
    window = f"(PARTITION BY {key} ORDER BY valid_from)"
    return f"""(
        SELECT *, lead(valid_from::DATE, 1, DATE 'infinity') OVER {window} AS until,
            CASE WHEN row_number() OVER {window} = 1 THEN DATE '-infinity' ELSE valid_from::DATE END AS since
        FROM {rows})"""


VOUCHERS = f"""
    CREATE TEMP TABLE voucher AS
    SELECT {", ".join(f"t.{name}" for name in PLACE.split(", "))}, t.uscc, t.tax_type, t.kind, t.amount_yuan,
        t.treasury_date, coalesce(o.scheme, 'standard') AS scheme,
        CASE WHEN s.in_scope = 'true' THEN r.category END AS category,
        CASE
            WHEN g.uscc IS NULL THEN 'not_registered'
            WHEN r.category IS NULL THEN 'not_resident'
            WHEN s.in_scope IS DISTINCT FROM 'true' THEN 'category'
        END AS reason
    FROM tax_collections AS t
    LEFT JOIN (SELECT DISTINCT uscc FROM institution_register) AS g USING (uscc)
    LEFT JOIN (SELECT * FROM institution_entry WHERE metric_id = 'institutions_resident') AS r
        ON t.uscc = r.uscc AND t.treasury_date >= r.valid_from AND t.treasury_date < r.valid_to
    LEFT JOIN {seed("metric_scope", "category")} AS s
        ON r.category = s.category AND t.treasury_date >= s.since AND t.treasury_date < s.until
    LEFT JOIN {seed("tax_sharing_override")} AS o ON t.uscc = o.uscc AND t.tax_type = o.tax_type
"""

# Of each metric's members the vouchers; those of the levels of government are parts, computed from all of them.
SERIES = (
    ("financial_tax_revenue", "total", "'total'", "category IS NOT NULL"),
    ("financial_tax_revenue", "category", "category", "category IS NOT NULL"),
    ("financial_tax_revenue", "tax_type", "tax_type", "category IS NOT NULL"),
    ("financial_tax_revenue_gross", "total", "'total'", "category IS NOT NULL AND kind = 'collection'"),
    ("tax_revenue_out_of_scope", "total", "'total'", "reason IS NOT NULL"),
    ("tax_revenue_out_of_scope", "reason", "reason", "reason IS NOT NULL"),
)
YEAR_TO_DATE = tuple((f"{metric}_ytd", *rest) for metric, *rest in SERIES if metric == "financial_tax_revenue")
ENTRIES = " UNION ALL ".join(
    f"SELECT '{metric}' AS metric_id, '{dimension}' AS dimension, {member} AS member, treasury_date AS valid_from, "
    f"treasury_date + 1 AS valid_to, amount_yuan AS amount, {PLACE} FROM voucher WHERE {condition}"
    for metric, dimension, member, condition in (*SERIES, *YEAR_TO_DATE)
)  # fmt: skip


def show_vouchers(evidence: Evidence) -> None:
    """Make the tables `voucher`, the current vouchers with what they count as, and `level_part`."""
    institutions.show_entries(evidence)
    evidence.connection.execute(VOUCHERS)
    evidence.connection.execute("CREATE TEMP TABLE level_part (month DATE, member VARCHAR, amount DECIMAL(38, 6))")
    taxed = evidence.connection.execute(
        f"""SELECT v.month, v.amount_yuan, {", ".join(f"s.{level}::DECIMAL(9, 4)" for level in LEVELS)}
            FROM (
                SELECT date_trunc('month', treasury_date)::DATE AS month, tax_type, scheme,
                    sum(amount_yuan) AS amount_yuan
                FROM voucher WHERE category IS NOT NULL GROUP BY ALL
            ) AS v
            INNER JOIN {seed("tax_sharing", "scheme, tax_type")} AS s
                ON v.tax_type = s.tax_type AND v.scheme = s.scheme AND v.month >= s.since AND v.month < s.until"""
    ).fetchall()
    parts = [(month, *part) for month, amount, *shares in taxed for part in shared(amount, shares)]
    if parts:
        evidence.connection.executemany("INSERT INTO level_part VALUES (?, ?, ?)", parts)


def shared(yuan: Decimal, percent: list[Decimal]) -> list[tuple[str, Decimal]]:
    """The parts of an amount that each level of government gets: rounded to the fen, halves away from zero; the level
    with the largest share, of equal ones the first, takes the rest."""
    parts = [(yuan * share / 100).quantize(Decimal("0.01"), ROUND_HALF_UP) for share in percent]
    largest = percent.index(max(percent))
    parts[largest] += yuan - sum(parts)
    return list(zip(LEVELS, parts, strict=True))
