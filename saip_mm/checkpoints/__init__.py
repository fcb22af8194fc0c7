"""Reading, naming, converting and exporting checkpoints."""
