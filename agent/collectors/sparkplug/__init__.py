"""Sparkplug B (Eclipse Sparkplug 3.0) as a host application that reads: see README.md."""
