"""`sluice demo --check`: the product's promises shown on a running system, one part of the proof a file."""
