"""How media travels: cache, protection, delivery."""
