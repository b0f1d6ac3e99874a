"""What users call: training, testing, inference and export."""
