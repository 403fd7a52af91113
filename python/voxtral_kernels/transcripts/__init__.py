"""Transcripts as people and programs read them: text, JSON, subtitles."""
