"""From what arrives to the lake: archive, readers, contracts, outcomes, quarantine. Knows nothing of metrics."""
