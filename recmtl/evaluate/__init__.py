"""What a sweep's scores say: who wins on which task, by how much, and whether that is noise."""
