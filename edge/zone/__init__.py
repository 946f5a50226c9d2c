"""Zones: any HTTP origin behind the edge's cache. Here is what asks, keeps, answers; `edge.http` decides."""
