{{ current_versions(ref('stg_fund_commitments_versions'), ['change_id'], void='void') }}
