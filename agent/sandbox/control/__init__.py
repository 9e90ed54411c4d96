"""What people do in the sandbox, and what the page shows: the control API below /sandbox/api."""
