"""Where outputs go: router view, reports, histories."""
