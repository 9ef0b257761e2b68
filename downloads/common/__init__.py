"""What all of the downloads use: settings, credentials, pacing and error reports."""
