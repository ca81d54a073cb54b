"""The parts of the shards: the files, the shuffle that writes them, and reading ahead."""
