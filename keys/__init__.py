"""Identity, permission, secrets: who may see what. A site mints links with `keys.sign_url` and a key file."""
