{{ current_versions(ref('stg_institution_register_versions'), ['event_id'], void='void') }}
