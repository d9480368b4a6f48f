-- The institution register, which is read as it stands.
SELECT
    strptime(regexp_extract(r.filename, '(\d{8})\.csv$', 1), '%Y%m%d')::DATE AS published_on,
    r."事件编号" AS event_id,
    r."事件日期"::DATE AS event_date,
    CASE r."事件类型" WHEN '引进' THEN 'admit' WHEN '迁出' THEN 'leave' WHEN '注销' THEN 'deregister'
        WHEN '类别变更' THEN 'recategorise' WHEN '更名' THEN 'rename' END AS event_type,
    r."统一社会信用代码" AS uscc,
    c.member AS category,
    false AS void
FROM read_csv('register/*.csv', all_varchar = true, filename = true) AS r
LEFT JOIN read_csv('seeds/dimension_member.csv') AS c ON c.dimension = 'category' AND c.label_zh = r."机构类别"
