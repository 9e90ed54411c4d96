"""What the plant's message kinds become in Feishu: groups and their members, cards and words."""
