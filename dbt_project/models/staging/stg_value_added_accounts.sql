{{ current_versions(ref('stg_value_added_accounts_versions'), ['year', 'division'], void='void') }}
