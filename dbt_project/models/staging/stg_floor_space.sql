{{ current_versions(ref('stg_floor_space_versions'), ['plan_version', 'parcel'], void='void') }}
