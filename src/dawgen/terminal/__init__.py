"""What the user sees while a command runs: progress, warnings, escaped text."""
