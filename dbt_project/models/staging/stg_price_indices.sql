{{ current_versions(ref('stg_price_indices_versions'), ['quarter', 'index_code'], void='void') }}
