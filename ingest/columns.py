"""SQL of one column: its typed value from a cell's text, and the rules that a cell can break.

Every spelling that the feeds allow is read, from normalised text. `ingest.plain` reads those that a machine writes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ingest.contract import Column, Contract

# After NFKC an ellipsis is three dots.
MISSING = ("", "-", "—", "–", "...", "......", "/", "空", "不详", "NA", "N/A")
DECIMALS = 16
_NUMBER = r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?([eE][+-]?\d{1,3})?|[+-]?\.\d+"
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_LENGTH = 18
USCC = f"[{USCC_ALPHABET}]{{{USCC_LENGTH}}}"
_ORGANISATION = "[0-9A-Z]{8}-?[0-9X]"
_DATES = {
    r"\d{4}-\d{1,2}-\d{1,2}": "try_cast({0} AS DATE)",
    r"\d{4}/\d{1,2}/\d{1,2}": "try_cast(replace({0}, '/', '-') AS DATE)",
    r"\d{8}": "try_cast({0}[1:4] || '-' || {0}[5:6] || '-' || {0}[7:8] AS DATE)",
    r"\d{4}年\d{1,2}月\d{1,2}日": "try_cast(regexp_replace({0}, '年|月|日', '-', 'g')[:-2] AS DATE)",
    r"\d{5}": "DATE '1899-12-30' + try_cast({0} AS INTEGER)",
}
_QUARTER = {"一": 1, "二": 2, "三": 3, "四": 4, "A": 1, "B": 2, "C": 3, "D": 4}


def text_literal(value: str) -> str:
    """`value` as a SQL string."""
    return "'" + value.replace("'", "''") + "'"


def lake_name(column: Column) -> str:
    """The warehouse's name of a column: an amount carries its unit."""
    return f"{column.id}_yuan" if column.type == "money" else column.id


def lake_type(column: Column) -> str:
    """The SQL type of a column in the lake."""
    match column.type:
        case "date":
            return "DATE"
        case "flag":
            return "BOOLEAN"
        case "integer":
            return "BIGINT"
        case "money" | "number":
            return f"DECIMAL({18 if decimals_of(column) <= 6 else 38},{decimals_of(column)})"
    return "VARCHAR"


def decimals_of(column: Column) -> int:
    """How many decimals the lake keeps of an amount or a number."""
    return DECIMALS if column.decimals is None else column.decimals


def value_sql(column: Column, power: int = 0) -> tuple[str, str]:
    """(SQL of the typed value of `n_<id>`, the rule a present but unusable cell breaks)."""
    source = f"n_{column.id}"
    match column.type:
        case "money" | "number":
            return _decimal(source, power, lake_type(column)), "number"
        case "integer":
            return f"try_cast({_decimal(source, 0, 'DECIMAL(18,0)')} AS BIGINT)", "number"
        case "date":
            return _date(source), "date"
        case "period":
            return _period(source, column.frequency), "period"
        case "period_range":
            return _period_range(source), "period"
        case "observational_period":
            return _observational_period(source), "period"
        case "enum":
            return _choice(source, column.values), "enum"
        case "flag":
            return f"CASE {source} WHEN '是' THEN true WHEN '否' THEN false END", "enum"
        case "uscc":
            return _matching(source, USCC), "uscc_format"
        case "uscc_or_organisation_code":
            return f"replace({_matching(source, f'{USCC}|{_ORGANISATION}')}, '-', '')", "uscc_format"
    return (_matching(source, column.pattern), "format") if column.pattern else (source, "format")


def faults(contract: Contract, powers: dict[str, int]) -> Iterator[tuple[str, Column, str]]:
    """(rule, column, SQL of its breach) for every rule that one row alone can break."""
    for column in contract.columns:
        text, value = f"n_{column.id}", f"v_{column.id}"
        alive = "" if column.key or column.id == "void" or not contract.has_void else "NOT coalesce(v_void, false) AND "
        if column.required_when:
            when = " OR ".join(
                f"v_{other} IN ({', '.join(map(text_literal, allowed))})"
                for other, allowed in column.required_when.items()
            )
            yield "required", column, f"{alive}{text} IS NULL AND ({when})"
        elif not column.optional:
            yield "required", column, f"{alive}{text} IS NULL"
        if column.type != "text" or column.pattern:
            rule = value_sql(column, powers.get(column.id, 0))[1]
            yield rule, column, f"{alive}{text} IS NOT NULL AND {value} IS NULL"
        for rule, breach in breaches(column):
            yield rule, column, f"{alive}{breach}"


def breaches(column: Column) -> Iterator[tuple[str, str]]:
    """(rule, SQL of its breach) for the rules about a readable value."""
    value = f"v_{column.id}"
    if column.not_after_publication:
        yield "future_date", f"{value} > $published_on"
    for bound, comparison in ((column.minimum, "<"), (column.maximum, ">")):
        if bound is not None:
            yield "range", f"{value} {comparison} {bound}"
    if column.sign:
        for allowed, comparison in ((column.sign.positive, "<"), (column.sign.negative, ">")):
            yield "sign", f"v_{column.sign.by} IN ({', '.join(map(text_literal, allowed))}) AND {value} {comparison} 0"


def _number(source: str) -> str:
    return f"replace(replace({source}, ' ', ''), '−', '-')"


def _decimal(source: str, power: int, kind: str) -> str:
    """An exact decimal times ten to `power`; NULL where it is no number or has more digits than the type."""
    plain = f"replace({_number(source)}, ',', '')"
    exponent = f"coalesce(try_cast(nullif(regexp_extract({plain}, '[eE](.*)$', 1), '') AS INTEGER), 0) + {power}"
    mantissa = f"regexp_replace({plain}, '[eE].*$', '')"
    decimals = f"length(rtrim(regexp_extract({plain}, '[.](\\d*)', 1), '0'))"
    scale = int(kind.rstrip(")").rpartition(",")[2])
    return (
        f"CASE WHEN regexp_full_match({_number(source)}, '{_NUMBER}') AND {decimals} - ({exponent}) <= {scale} "
        f"THEN try_cast({mantissa} || 'e' || ({exponent}) AS {kind}) END"
    )


def _date(source: str) -> str:
    cases = " ".join(f"WHEN regexp_full_match({source}, '{p}') THEN {e.format(source)}" for p, e in _DATES.items())
    return f"CASE WHEN {source} LIKE '0000%' THEN NULL {cases} END"  # SQL has a year 0, the calendar has none


def _period(source: str, frequency: str | None) -> str:
    """A month, quarter or year (or only one of them) in its canonical spelling: 2024-03, 2024-Q1, 2024."""
    year = f"{source}[1:4]"
    month = f"lpad(regexp_extract({source}, '^\\d{{4}}(?:-|年)?(\\d{{1,2}})月?$', 1), 2, '0')"
    quarter = f"regexp_extract({source}, '^\\d{{4}}(?:-?Q|年第?)?([1-4一二三四ABCD])(?:季度)?$', 1)"
    digits = " ".join(f"WHEN '{key}' THEN '{value}'" for key, value in _QUARTER.items())
    cases = {
        "A": f"WHEN regexp_full_match({source}, '\\d{{4}}年?') THEN {year}",
        "M": f"WHEN regexp_full_match({source}, '\\d{{4}}(-\\d{{2}}|\\d{{2}}|年\\d{{1,2}}月)') "
        f"AND {month} BETWEEN '01' AND '12' THEN {year} || '-' || {month}",
        "Q": f"WHEN regexp_full_match({source}, '\\d{{4}}(-?Q[1-4]|年第?[1-4一二三四]季度|[ABCD])') "
        f"THEN {year} || '-Q' || CASE {quarter} {digits} ELSE {quarter} END",
    }
    return f"CASE {cases[frequency] if frequency else ' '.join(cases.values())} END"


def _period_range(source: str) -> str:
    """A month, or a range of months `2024-01~2024-03` whose end is not before its start; canonical spelling."""
    start, end = (_period(f"trim(split_part({source}, '~', {part}))", "M") for part in (1, 2))
    return (
        f"CASE WHEN strpos({source}, '~') = 0 THEN {start} "
        f"WHEN {source} NOT LIKE '%~%~%' AND ({end}) >= ({start}) THEN ({start}) || '~' || ({end}) END"
    )


def _observational_period(source: str) -> str:
    """A month, quarter or year, or as statistics offices also print: 2024-S1, 2024-W05, or a day; canonical spelling.

    Half-years and weeks are those of SDMX (ISO 8601 weeks).
    """
    return (
        f"CASE WHEN regexp_full_match({source}, '\d{{4}}-?(S[12]|W(0[1-9]|[1-4]\d|5[0-3]))') "
        f"THEN {source}[1:4] || '-' || regexp_extract({source}, '[SW]\d+') "
        f"WHEN regexp_full_match({source}, '\d{{4}}-\d{{2}}-\d{{2}}') THEN ({_date(source)})::VARCHAR "
        f"ELSE {_period(source, None)} END"
    )


def _choice(source: str, values: dict[str, str]) -> str:
    cases = " ".join(
        f"WHEN {text_literal(p)} THEN {text_literal(i)}" for i, zh in values.items() for p in dict.fromkeys((i, zh))
    )
    return f"CASE {source} {cases} END"


def _matching(source: str, pattern: str) -> str:
    return f"CASE WHEN regexp_full_match({source}, {text_literal(pattern)}) THEN {source} END"
