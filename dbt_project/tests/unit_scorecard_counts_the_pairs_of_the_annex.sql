-- Every month 25 lead pairs and 77 supporting pairs, the leads as the annex has them.
with annex as (
    select
        a.unit_name,
        a.leads
    from (
        values
        ('新区财政局(金融办)', 16),
        ('湘江国投公司', 2),
        ('岳麓区人民政府', 2),
        ('长沙城发集团', 2),
        ('新区金融发展服务中心', 1),
        ('新区国土规划局', 1),
        ('新区党政综合部', 1)
    ) as a (unit_name, leads)
)

select
    s.month,
    sum(s.leads) as leads,
    sum(s.supports) as supports,
    count(*) filter (where s.leads != coalesce(a.leads, 0)) as units_with_other_leads
from {{ ref('unit_scorecard') }} as s
left join annex as a on s.unit_name = a.unit_name
group by s.month
having sum(s.leads) != 25 or sum(s.supports) != 77 or units_with_other_leads > 0
