"""HFC Metrics: where a financial centre's action plan really stands, every month."""

__version__ = "0.1.0"
