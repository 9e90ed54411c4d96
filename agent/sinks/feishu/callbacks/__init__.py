"""What Feishu tells us over its long connection: clicks on cards, and events. Use supervisor.Callbacks."""
