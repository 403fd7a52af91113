"""What each op means: its request, float64 oracle, composed form (stock MLX ops) and case list."""
