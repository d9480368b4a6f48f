{{ current_versions(ref('stg_duty_reports_versions'), ['duty_no', 'month'], void='void') }}
