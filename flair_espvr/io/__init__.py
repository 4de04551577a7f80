"""Files, whatever they hold: atomic and resumable writing, downloads, packaged files."""
