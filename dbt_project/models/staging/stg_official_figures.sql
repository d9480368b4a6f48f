{{ current_versions(ref('stg_official_figures_versions'), ['metric_id', 'period'], void='void') }}
