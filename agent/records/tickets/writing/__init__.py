"""How the owner writes its tickets: numbers, events with what they make it say, and what is taken back."""
