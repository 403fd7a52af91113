"""Archives of recordings through Ray Data: a manifest in, shards of transcripts out, resumable."""
