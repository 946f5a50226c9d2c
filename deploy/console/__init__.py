"""The admin console: a page for operators on a listener of its own, and the small backend behind it."""
