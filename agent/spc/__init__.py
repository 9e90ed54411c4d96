"""Statistical process control: run rules, charts, limits. Pure: no I/O, no time, no libraries.

`rules` says what each rule means, `automaton` compiles them to tables, `stream` runs one stream of points through a
table; `charts/` turns values into plotted points and flags.
"""
