"""What comes through OpenAI's door: its bodies become jobs, and what they came to its files."""
