"""The state of the stand-in and the rules that change it; no HTTP here."""
