{{ current_versions(ref('stg_duty_measures_versions'), ['duty_no', 'measure_id', 'month'], void='void') }}
