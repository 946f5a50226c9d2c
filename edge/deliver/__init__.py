"""A request, from its raw target to encrypted bytes."""
