"""How commands become requests, and answers values."""
