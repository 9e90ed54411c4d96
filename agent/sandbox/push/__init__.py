"""The long connection: frames, connections, events pushed and clicks asked."""
