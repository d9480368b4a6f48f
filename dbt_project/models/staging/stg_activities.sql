{{ current_versions(ref('stg_activities_versions'), ['activity_id'], void='void') }}
