"""Puts the parts together: settings, processes, command line. The only package that reads the environment."""
