"""Zones: any HTTP origin behind the edge's cache. The parts that ask, keep and answer; `edge.http` decides."""
