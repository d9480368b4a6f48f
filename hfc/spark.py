"""Spark as the engine of a build: a session, the sources as tables of its catalog, the project's SQL in Spark's words.

The project is written in DuckDB's SQL. dbt-spark sends every statement through one cursor, and there sqlglot translates
it, so no model exists twice. What a translation cannot say, a macro says per target.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp, parse_one
from sqlglot.dialects.spark import Spark
from sqlglot.generators.spark import SparkGenerator

from hfc.home import PROJECT, Home, UsageError
from ingest.columns import text_literal

# What Spark has to compute as DuckDB does: errors for what cannot be cast, and the places of a product of decimals.
_SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.catalogImplementation": "in-memory",
}
# Schemas that stand in the candidate before dbt builds on Spark, and those that dbt fills there.
_HANDED_OVER = ("lake", "carried", "seeds")
_BUILT = ("staging", "intermediate", "published")
# Where `make spark` installs it.
_APART = Path(__file__).parent.parent / ".spark"
_QUERY = re.compile(r"\s*(/\*.*?\*/)?\s*(create|select|with|\()", re.IGNORECASE | re.DOTALL)


def warehouse(home: Home) -> Path:
    """Where the tables of Spark's catalog are kept, as Parquet: `<schema>/<table>`."""
    return home.warehouse / "spark"


def prepare(home: Home) -> None:
    """A fresh catalog with what the candidate has before dbt builds: tables as Parquet, and views over the lake."""
    spark = session()
    shutil.rmtree(warehouse(home), ignore_errors=True)
    for schema in (*_HANDED_OVER, *_BUILT):
        spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        spark.sql(f"CREATE SCHEMA {schema} LOCATION {text_literal((warehouse(home) / schema).as_uri())}")
    with duckdb.connect(str(home.candidate), read_only=True) as connection:
        for table in _named(connection, "table"):
            folder = warehouse(home) / table.replace(".", "/")
            folder.mkdir(parents=True)
            connection.execute(f"COPY {table} TO {text_literal(str(folder / 'rows.parquet'))}")
            spark.sql(f"CREATE TABLE {table} USING parquet LOCATION {text_literal(folder.as_uri())}")
        for definition in _named(connection, "view"):
            spark.sql(translated(definition))
    _adapt_dbt()


def _named(connection: duckdb.DuckDBPyConnection, kind: str) -> list[str]:
    """The tables of the schemas that are handed over, by name, or the definitions of the views."""
    selected = "schema_name || '.' || table_name" if kind == "table" else "sql"
    query = f"SELECT {selected} FROM duckdb_{kind}s() WHERE list_contains(?, schema_name)"
    return [text for (text,) in connection.execute(query, [list(_HANDED_OVER)]).fetchall()]


@cache
def session() -> Any:
    """The session of this process; `SPARK_CONF_DIR` says which Spark it is of, else one in this machine.

    Raises:
        UsageError: Spark is not installed, or does not start.
    """
    if str(_APART) not in sys.path:
        sys.path.append(str(_APART))
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise UsageError("Spark is not installed: run make spark first, or leave out --target spark") from None
    os.environ.setdefault("SPARK_CONF_DIR", str(PROJECT / "spark"))
    try:
        return SparkSession.builder.appName("hfc").config(map=_SETTINGS).getOrCreate()
    except PySparkException as error:
        raise UsageError(
            f"Spark does not start: {error}. It needs Java 17 or later, in the path or JAVA_HOME"
        ) from error


def _adapt_dbt() -> None:
    """Let dbt-spark use this session and translation, and run Python models here: it only knows Databricks' jobs."""
    from dbt.adapters.spark.impl import SparkAdapter
    from dbt.adapters.spark.session import Cursor

    Cursor.execute = _execute
    SparkAdapter.default_python_submission_method = "here"
    SparkAdapter.python_submission_helpers = {"here": PythonModel}


def _execute(cursor: Any, sql: str, *_: Any) -> None:
    """A statement of dbt, in the session of this process."""
    from dbt_common.exceptions import DbtDatabaseError
    from pyspark.errors import PySparkException

    try:
        cursor._df = session().sql(translated(sql))
    except PySparkException as error:
        raise DbtDatabaseError(f"{str(error).partition(';')[0]}: {translated(sql)}") from error


class PythonModel:
    """Runs a Python model here, on the few rows that Spark has made of many: it reads them as relations of DuckDB."""

    def __init__(self, model: dict[str, Any], _: Any) -> None:
        self.table = f"{model['schema']}.{model['alias']}"

    def submit(self, code: str) -> None:
        """Compute the model of this code and make it a table."""
        with duckdb.connect() as connection:
            module: dict[str, Any] = {}
            exec(code, module)
            dbt = module["dbtObj"](lambda table: connection.from_arrow(session().table(table).toArrow()))
            rows = module["model"](dbt, connection)
            session().createDataFrame(rows).write.format("parquet").saveAsTable(self.table)


def translated(sql: str) -> str:
    """A statement in DuckDB's SQL as Spark understands it; anything but a query is left as it is."""
    if not _QUERY.match(sql):
        return sql
    return parse_one(sql, read="duckdb").transform(_rewritten).sql(_Dialect, comments=False)


def _rewritten(node: exp.Expr) -> exp.Expr:
    """What has another place in a statement of Spark's."""
    match node:
        case exp.Cast(this=exp.Explode(this=values), to=kind):
            return exp.Explode(
                this=exp.cast(values, exp.DataType(this=exp.DType.ARRAY, expressions=[kind], nested=True))
            )
        case exp.CTE():
            node.set("materialized", None)
        case exp.Select():
            _view_lateral_values(node)
    return node


def _view_lateral_values(select: exp.Select) -> None:
    """`cross join (values …)` that names columns of what stands before it becomes a lateral view."""
    for join in list(select.args.get("joins") or []):
        values = join.this
        if isinstance(values, exp.Values) and values.find(exp.Column):
            names = values.args["alias"].columns
            rows = [
                exp.Anonymous(
                    this="named_struct",
                    expressions=[
                        part
                        for name, value in zip(names, row.expressions, strict=True)
                        for part in (exp.Literal.string(name.name), value)
                    ],
                )
                for row in values.expressions
            ]
            view = exp.Lateral(this=exp.Inline(this=exp.Array(expressions=rows)), view=True, alias=values.args["alias"])
            join.pop()
            select.append("laterals", view)


def _read_parquet(generator: SparkGenerator, node: exp.ReadParquet) -> str:
    files = [re.sub(r"([\\{},*?\[\]])", r"\\\1", file.name[1:]) for file in node.expressions[0].expressions]
    return f"(SELECT *, _metadata.file_name AS filename FROM parquet.`/{{{','.join(files)}}}`)"


def _element(generator: SparkGenerator, node: exp.Bracket) -> str:
    """NULL beyond the end; sqlglot has made a literal count from zero."""
    array, (position,) = generator.sql(node, "this"), node.expressions
    if isinstance(position, exp.Literal):
        return f"GET({array}, {generator.sql(position)})"
    return f"TRY_ELEMENT_AT({array}, CAST({generator.sql(position)} AS INT))"


def _greatest(generator: SparkGenerator, node: exp.Max) -> str:
    if count := node.args.get("count"):
        return f"SLICE(SORT_ARRAY(COLLECT_LIST({generator.sql(node, 'this')}), FALSE), 1, {generator.sql(count)})"
    return generator.func("MAX", node.this)


def _series(generator: SparkGenerator, node: exp.GenerateSeries) -> str:
    """DuckDB's is empty where it ends before it starts."""
    if node.args.get("is_end_exclusive"):
        return SparkGenerator.TRANSFORMS[exp.GenerateSeries](generator, node)
    start, end, step = (generator.sql(node, name) for name in ("start", "end", "step"))
    return f"CASE WHEN {start} <= {end} THEN SEQUENCE({start}, {end}, {step}) END"


def _function(generator: SparkGenerator, node: exp.Anonymous) -> str:
    if template := _FUNCTIONS.get(node.name.lower()):
        return template.format(*(generator.sql(argument) for argument in node.expressions))
    return generator.anonymous_sql(node)


# Functions that sqlglot does not know.
_FUNCTIONS = {
    "arg_max_null": "MAX_BY({0}, {1})",
    "hash": "XXHASH64({0})",
    "isoyear": "EXTRACT(YEAROFWEEK FROM {0})",
    "parse_filename": "REGEXP_REPLACE({0}, '[.][^.]*$', '')",
}


class _Dialect(Spark):
    class Generator(SparkGenerator):
        """What sqlglot's own dialect of Spark lacks of DuckDB's functions."""

        TYPE_MAPPING = {**SparkGenerator.TYPE_MAPPING, exp.DType.INT128: "DECIMAL(38, 0)"}
        TRANSFORMS = {
            **SparkGenerator.TRANSFORMS,
            exp.Anonymous: _function,
            # DuckDB's take the greatest of what is not NULL; Spark's would give NULL for it.
            exp.ArgMax: lambda g, e: (
                f"MAX_BY({g.sql(e, 'this')}, {g.sql(e, 'expression')}) FILTER (WHERE NOT {g.sql(e, 'this')} IS NULL)"
            ),
            exp.ArgMin: lambda g, e: (
                f"MIN_BY({g.sql(e, 'this')}, {g.sql(e, 'expression')}) FILTER (WHERE NOT {g.sql(e, 'this')} IS NULL)"
            ),
            exp.ArrayPosition: lambda g, e: f"NULLIF({g.func('ARRAY_POSITION', e.this, e.expression)}, 0)",
            exp.Bracket: _element,
            exp.GenerateSeries: _series,
            exp.Max: _greatest,
            exp.ReadParquet: _read_parquet,
            exp.RegexpFullMatch: lambda g, e: (
                f"REGEXP_LIKE({g.sql(e, 'this')}, CONCAT('^(?:', {g.sql(e, 'expression')}, ')$'))"
            ),
            exp.Try: lambda g, e: g.func("TRY_MULTIPLY", e.this.this, e.this.expression),
        }
