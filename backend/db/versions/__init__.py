"""The migrations, one revision a file; the file's number is the revision."""
