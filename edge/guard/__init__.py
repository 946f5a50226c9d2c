"""What stands before every application: one strict reading of HTTP/1.1, and limits for clients."""
