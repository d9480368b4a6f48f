-- What readers see of tax, or can compute of what they see, by month, quarter and year and the year to date, in yuan.
with monthly as ({{ tax_series(ref('int_tax_cell')) }}),

{{ tax_by_period() }}

select * from by_period
