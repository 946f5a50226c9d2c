"""HTTP as a shared cache has to understand it: what may be stored, reused, validated, and what must be said.

Pure: values and `now` in, decisions out. Times are seconds since the epoch, durations are seconds. The parts
that ask origins and keep bodies are in `edge.zone`.
"""
