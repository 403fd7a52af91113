"""From Metal text to text for the host compiler: tokens, what they declare, the translation."""
