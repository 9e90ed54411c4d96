"""A coating line that lives on this machine: an MQTT broker with sensors, and a PLC, on real sockets of 127.0.0.1.

`line.py` says what there is to measure, `process.py` what the gauges show, the others put it on the wire. Start it with
`run.run_plant()` or `python -m agent.sandbox.plant`.
"""
