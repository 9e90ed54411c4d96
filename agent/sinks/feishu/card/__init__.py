"""The neutral card (records/*/cards.py) as Feishu card JSON 2.0."""
