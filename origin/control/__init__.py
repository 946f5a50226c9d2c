"""The control API: `/api/v1` for programs, its tokens, its document and its page."""
