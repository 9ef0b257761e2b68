"""What callers may do: access, the person's rules, limits, repeats, and the log of it all."""
