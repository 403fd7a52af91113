"""What a run leaves: tables, the HTML report, files."""
