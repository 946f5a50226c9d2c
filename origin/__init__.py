"""What there is: media taken in, packaged once, sealed; the authority for bytes."""
