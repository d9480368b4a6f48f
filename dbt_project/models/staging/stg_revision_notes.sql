{{ current_versions(ref('stg_revision_notes_versions'), ['note_id'], void='void') }}
