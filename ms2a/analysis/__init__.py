"""Pictures, error analysis and browsing of batches."""
