{{ current_versions(ref('stg_risk_leads_versions'), ['lead_id'], void='void') }}
