-- What each release up to this one said of every value, equal neighbours in one row: known from realtime_start until
-- before realtime_end. A value that a later release no longer has ends with that release.
with observation as (
    select
        metric_id,
        frequency,
        period,
        dimension,
        member,
        value,
        obs_status,
        conf_status,
        as_of
    from {{ source('lake', 'released_observation') }}
    union all
    select
        metric_id,
        frequency,
        period,
        dimension,
        member,
        value,
        obs_status,
        conf_status,
        as_of
    from {{ ref('metric_observation') }}
),

vintage as (
    select
        as_of,
        row_number() over (order by as_of) as vintage_no,
        lead(as_of) over (order by as_of) as next_as_of
    from (select distinct as_of from observation) as released
),

placed as (
    select
        o.*,
        v.vintage_no,
        v.next_as_of,
        lag(v.vintage_no) over vintages_of_key as vintage_no_before,
        lag((o.value, o.obs_status, o.conf_status)) over vintages_of_key as said_before
    from observation as o
    inner join vintage as v on o.as_of = v.as_of
    window vintages_of_key as (
        partition by o.metric_id, o.frequency, o.period, o.dimension, o.member
        order by v.vintage_no
    )
),

numbered as (
    select
        *,
        -- A row starts where the vintage before it lacks the key, or says otherwise.
        sum(
            case when
                vintage_no_before is distinct from vintage_no - 1
                or said_before is distinct from (value, obs_status, conf_status)
                then 1
            else 0 end
        ) over (
            partition by metric_id, frequency, period, dimension, member
            order by vintage_no
        ) as stretch
    from placed
)

select
    metric_id,
    frequency,
    period,
    dimension,
    member,
    any_value(value) as value,
    any_value(obs_status) as obs_status,
    any_value(conf_status) as conf_status,
    min(as_of) as realtime_start,
    arg_max_null(next_as_of, vintage_no) as realtime_end
from numbered
group by metric_id, frequency, period, dimension, member, stretch
order by metric_id, frequency, period, dimension, member, realtime_start
