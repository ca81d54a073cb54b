"""The multi-task models. What can be written in a file, without torch: `ModelConfig`."""

from recmtl.model.settings import EmbeddingConfig, ModelConfig, TowerConfig

__all__ = ["EmbeddingConfig", "ModelConfig", "TowerConfig"]
