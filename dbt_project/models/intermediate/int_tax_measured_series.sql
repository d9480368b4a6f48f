-- The series, year by year, of which it has to be measured what each taxpayer adds to them: those that their size does
-- not prove safe. No taxpayer adds more to a cell, with either sign, than all of its vouchers of the year, with the
-- same sign, come to. So a cell of more than n times the largest such sum has more than n taxpayers, and of more than
-- 2 + p % times it leaves, less the two largest, more than p % of the largest. And what a release once withheld as
-- sensitive stays measured.
--
-- What the build before has measured still holds, unless vouchers of that year were delivered since, were superseded or
-- are current again, or count as something else.
with largest as ({{ largest_turnovers() }}),

unproved as (
    select distinct
        replace(s.metric_id, '_ytd', '') as metric_id,
        s.dimension,
        s.member,
        l.calendar_year
    from {{ ref('int_tax_series') }} as s
    inner join largest as l on year(s.last_month) = l.calendar_year
    cross join {{ ref('disclosure_rule') }} as r
    where
        -- Sums of floating-point numbers are off by less than this.
        abs(s.amount_yuan)::double * (1 - 1e-9)
        <= greatest(r.taxpayers - 1, 2 + r.percent::double / 100) * l.turnover_yuan::double
    union
    select distinct
        replace(metric_id, '_ytd', '') as metric_id,
        dimension,
        member,
        left(period, 4)::integer as calendar_year
    from {{ source('lake', 'released_observation') }}
    where conf_status = 'C'
),

-- A voucher that has more versions than before can be current in any of them.
another_version as (
    select r.voucher_no
    from {{ ref('stg_tax_collections_repeated') }} as r
    anti join {{ source('carried', 'stg_tax_collections_repeated') }} as c
        on r.voucher_no = c.voucher_no and r.delivery_id = c.delivery_id
),

touched as (
    select year(treasury_date) as calendar_year
    from {{ source('carried', 'tax_uncounted') }}
    where not void
    union
    select year(treasury_date) as calendar_year
    from {{ ref('stg_tax_collections_repeated') }}
    where not void and voucher_no in (select a.voucher_no from another_version as a)
    union
    select t.calendar_year
    from {{ source('carried', 'int_tax_taxpayer') }} as t
    inner join {{ ref('int_tax_window_change') }} as w
        on t.uscc = w.uscc and t.first_day < w.valid_to and t.last_day >= w.valid_from
),

measured as (
    select distinct
        replace(metric_id, '_ytd', '') as metric_id,
        dimension,
        member,
        year(last_month) as calendar_year
    from {{ source('carried', 'int_tax_measured') }}
)

select
    u.*,
    t.calendar_year is null and m.calendar_year is not null as is_carried
from unproved as u
left join touched as t on u.calendar_year = t.calendar_year
left join measured as m
    on
        u.metric_id = m.metric_id and u.dimension = m.dimension and u.member = m.member
        and u.calendar_year = m.calendar_year
