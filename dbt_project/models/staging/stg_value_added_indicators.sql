{{ current_versions(ref('stg_value_added_indicators_versions'), ['quarter', 'indicator'], void='void') }}
