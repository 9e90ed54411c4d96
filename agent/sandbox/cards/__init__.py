"""Cards, JSON 2.0: what Feishu accepts (check, schema) and what a reader sees (read)."""
