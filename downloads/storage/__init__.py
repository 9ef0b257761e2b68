"""Files on disk: folders, partial files, checks, hashes, locks and the URL map."""
