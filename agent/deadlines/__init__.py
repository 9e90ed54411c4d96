"""Deadlines (R2, C24, A48, V5), reminders and escalation to a superior. Pure: `now` is always an argument."""
