{{ current_versions(ref('stg_listing_pipeline_versions'), ['record_id'], void='void') }}
