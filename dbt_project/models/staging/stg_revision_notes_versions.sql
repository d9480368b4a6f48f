{{ config(materialized='table') }}

{{ versions(source('lake', 'revision_notes'), ['note_id'], void='r.void') }}
