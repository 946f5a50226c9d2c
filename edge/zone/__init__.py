"""Zones: any HTTP origin behind the edge's cache. Here is who asks, keeps and answers; `edge.http` decides."""
