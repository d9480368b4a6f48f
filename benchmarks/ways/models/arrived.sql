-- The delivery at hand, typed, and the first rule of its contract that each row breaks by itself; of such rows also the
-- cells as they came.
WITH cell AS (
    SELECT
        strptime(regexp_extract(filename, '(\d{8})\.csv$', 1), '%Y%m%d')::DATE AS published_on,
        "税票号码" AS voucher_no,
        "统一社会信用代码" AS uscc,
        "税种" AS tax,
        "税款所属期" AS tax_period,
        "入库日期" AS received,
        CASE "业务类型" WHEN '入库' THEN 'collection' WHEN '退库' THEN 'refund' WHEN '冲正' THEN 'reversal' END AS kind,
        "业务类型" AS business,
        "实缴金额(元)" AS amount
    FROM {{ var('delivery') }}
),

-- A join would not keep the order of the rows, by which they are numbered.
name AS (
    SELECT map(list(label_zh), list(member)) AS names
    FROM read_csv('seeds/dimension_member.csv')
    WHERE dimension = 'tax_type'
),

typed AS (
    SELECT
        c.*,
        (SELECT names FROM name)[c.tax] AS tax_type,
        coalesce(try_cast(c.received AS DATE), try_strptime(c.received, '%Y%m%d')::DATE) AS treasury_date,
        CASE WHEN regexp_full_match(c.amount, '-?[0-9]+([.][0-9]{0,6})?')
            THEN try_cast(c.amount AS DECIMAL(18, 6)) END AS amount_yuan,
        regexp_full_match(c.tax_period, '[0-9]{4}-(0[1-9]|1[0-2])(~[0-9]{4}-(0[1-9]|1[0-2]))?')
        AND (c.tax_period[9:] = '' OR c.tax_period[9:] >= c.tax_period[:7]) AS is_period
    FROM cell AS c
),

judged AS (
    SELECT *, CASE
        WHEN voucher_no IS NULL OR uscc IS NULL OR tax IS NULL OR tax_period IS NULL OR received IS NULL
            OR business IS NULL OR amount IS NULL THEN 'required'
        WHEN amount_yuan IS NULL THEN 'number'
        WHEN treasury_date IS NULL THEN 'date'
        WHEN NOT is_period THEN 'period'
        WHEN tax_type IS NULL OR kind IS NULL THEN 'enum'
        WHEN NOT regexp_full_match(uscc, '[0-9ABCDEFGHJKLMNPQRTUWXY]{18}') THEN 'uscc_format'
        WHEN treasury_date > published_on THEN 'future_date'
        WHEN CASE WHEN kind = 'collection' THEN amount_yuan < 0 ELSE amount_yuan > 0 END THEN 'sign'
    END AS rule
    FROM typed
)

SELECT
    published_on, voucher_no, uscc, tax_type, tax_period, treasury_date, kind, amount_yuan, false AS void, rule,
    CASE WHEN rule IS NOT NULL THEN [voucher_no, uscc, tax, tax_period, received, business, amount] END AS cells
FROM judged
