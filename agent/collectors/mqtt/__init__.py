"""MQTT 3.1.1 and 5 through paho: see README.md."""
