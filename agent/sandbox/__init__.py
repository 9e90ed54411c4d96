"""A Feishu that lives on this machine: real HTTP, the real long-connection protocol, strict where Feishu is strict.

`andon demo`, rehearsals and tests let the real lark-oapi client talk to it. Nothing here reaches the internet, and
nothing here knows the agent: only its texts, clock and errors.
"""
