"""The points that a characteristic gave: how they are charted, kept, latched and shown."""
