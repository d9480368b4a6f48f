{# A table or view, made in its place: the candidate is new in every build, so there is no older one that has to stand
   until the new one does. dbt-duckdb's own makes it under another name, renames it and looks for what to drop, which
   takes longer than most of these tables. One that is there from an earlier run of dbt on the same candidate is dropped.
   Where Spark has computed the tables, the candidate takes their rows: `HFC_COMPUTED` says where they are. #}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
{%- set relation = this.incorporate(type='table') -%}
{% do drop_relation_if_exists(load_cached_relation(this)) %}
{%- set computed = env_var('HFC_COMPUTED', '') -%}
{%- set language = 'sql' if computed else model['language'] -%}
{%- set code = rows_of_spark(computed) if computed else compiled_code -%}
{% call statement('main', language=language) %}
{{ create_table_as(False, relation, code, language) }}
{% endcall %}
{% do persist_docs(relation, model) %}
{% do adapter.commit() %}
{{ return({'relations': [relation]}) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
{%- set relation = this.incorporate(type='view') -%}
{% do drop_relation_if_exists(load_cached_relation(this)) %}
{% call statement('main') %}
{{ create_view_as(relation, compiled_code) }}
{% endcall %}
{% do persist_docs(relation, model) %}
{% do adapter.commit() %}
{{ return({'relations': [relation]}) }}
{% endmaterialization %}

{# The comments on a table of a contract, which says what columns it has; dbt's own looks them up, twice. #}
{% macro duckdb__persist_docs(relation, model, for_relation, for_columns) -%}
{% if config.persist_column_docs() %}
{% call statement('comments') %}
{{ alter_relation_comment(relation, model.description) }}
{% for column in model.columns.values() %}
comment on column {{ relation }}.{{ adapter.quote(column.name) }} is {{ duckdb_escape_comment(column.description) }};
{% endfor %}
{% endcall %}
{% endif %}
{%- endmacro %}

{# The rows of this model that Spark has written; those of a contract in its types. #}
{% macro rows_of_spark(computed) -%}
select
    {% for column in model.columns.values() if config.get('contract').enforced %}
    "{{ column.name }}"::{{ column.data_type }} as "{{ column.name }}",
    {% else %}
    *
    {% endfor %}
from read_parquet('{{ computed }}/{{ this.schema }}/{{ this.identifier }}/*.parquet')
{%- endmacro %}

{# The catalog is new in every build here, too. #}
{% materialization table, adapter='spark', supported_languages=['sql', 'python'] %}
{%- set relation = this.incorporate(type='table') -%}
{% call statement('main', language=model['language']) %}
{%- if model['language'] == 'sql' %}create table {{ relation }} using parquet as {% endif %}
{{ compiled_code }}
{% endcall %}
{{ return({'relations': [relation]}) }}
{% endmaterialization %}

{% materialization view, adapter='spark' %}
{%- set relation = this.incorporate(type='view') -%}
{% call statement('main') %}
create view {{ relation }} as {{ compiled_code }}
{% endcall %}
{{ return({'relations': [relation]}) }}
{% endmaterialization %}
