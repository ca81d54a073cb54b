"""The parts of the encoder: what is fitted on train, and how values become rows and numbers."""
