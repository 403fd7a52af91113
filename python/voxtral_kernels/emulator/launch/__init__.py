"""The public calls: from a text and buffers to results and a report."""
