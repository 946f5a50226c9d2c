"""Webhooks: what becomes of assets, told to the URLs that asked for it."""
