"""`make bench`: what Sluice costs beside a bare server that does no more than send, or encrypt and send.

One real system (keys, origin, edges, Redis), real sessions and tokens, real hits of the first cache level;
bodies are checked. Every figure is taken in rounds, edge and floor in turn, and judged by the ratio within a
round: absolute figures belong to the machine they were taken on.
"""
