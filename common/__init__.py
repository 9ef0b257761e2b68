"""What both the bridge and the downloads stand on: errors, time, JSON files, signals and texts."""
